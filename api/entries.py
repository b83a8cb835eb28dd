"""What the API says of the entries of the catalogue, as records."""

from __future__ import annotations

import functools
from typing import Annotated, Any

from pydantic import ConfigDict, Field, JsonValue

from api.schemas import Body
from kdcore.catalog import AXES, describe


class Joining(Body):
    """Whether an entry may be joined with another axis."""

    may: bool
    """False where nothing but the axis' neutral entry, which does nothing, can stand beside it."""
    entries: list[str]
    """Entries of that axis that can."""
    why_not: str | None
    """Why the others cannot, where there are any."""


class PairValue(Body):
    """What a paper chose for one pair of networks."""

    field: str
    """The method's option."""
    teacher: str
    student: str
    value: float


class CatalogueEntry(Body):
    """One entry of one axis: what it computes, where it comes from, what may be set.

    What is not known of entries of this kind is null.
    """

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    axis: str
    name: str
    title: str | None = None
    """A method's name in full."""
    summary: str
    formula: str
    shapes: str
    paper: str
    source: str
    """What it was checked against, and where it differs."""
    arxiv: list[str]
    defaults: dict[str, JsonValue]
    json_schema: Annotated[dict[str, Any], Field(alias="schema")]
    """JSON Schema of the options."""
    plugin: str | None = None
    """Name and version of the package that it is from, where it is not ours."""
    axes: dict[str, JsonValue] | None = None
    """What a method writes into a recipe by default."""
    by_pair: list[PairValue] | None = None
    """Where a method's option depends on who teaches whom."""
    tasks: list[str] | None = None
    """Tasks in which it has a meaning."""
    needs_labels: bool | None = None
    """Labels are read; a hidden one is left out, or stands for the teacher's best class."""
    needs_features: bool | None = None
    """Outputs of stages before the last one are read."""
    needs_indices: bool | None = None
    """Something is remembered by sample."""
    learns: bool | None = None
    """Layers of its own are trained with the student, and are not delivered."""
    needs_teacher: bool | None = None
    """False where an objective looks at labels alone."""
    softens_logits: bool | None = None
    """An objective is reached by the temperature."""
    couples_samples: bool | None = None
    """Samples of a batch are compared with each other."""
    needs_tokens: bool | None = None
    """Layers of transformers are compared, as text encoders have them."""
    smallest_batch: int | None = None
    """The fewest samples that it says something about."""
    changes_student: bool | None = None
    """The delivered network is the student's with something put on."""
    prepares_teacher: bool | None = None
    """Something is learned about the frozen teacher first, in a training of its own."""
    joins: dict[str, Joining] | None = None
    """For each other axis, what can stand beside it in a recipe."""
    known: dict[str, dict[str, JsonValue]] | None = None
    """Sizes of an architecture that a name stands for."""
    stages: dict[str, list[int]] | None = None
    """An architecture's stages, and the shape of what each gives for an image of 3x32x32."""


@functools.cache
def catalogue(axis: str) -> dict[str, CatalogueEntry]:
    """Return the entries of an axis, by name."""
    return {
        name: CatalogueEntry.model_validate(describe(axis, entry))
        for name, entry in sorted(AXES[axis].items())
    }
