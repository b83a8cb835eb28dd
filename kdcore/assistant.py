"""What a path says of a network between teacher and student."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from kdcore.entry import OneOf, Record
from kdcore.model import Model
from kdcore.models import MODELS
from kdcore.training import Training


class Assistant(Record):
    """One network on the way, which is taught before it teaches."""

    model: Annotated[Model, OneOf(MODELS)]
    """Its architecture."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,31}$")] | None = None
    """What people call it; its place in the chain, counted from 1, where not given."""
    training: Training | None = None
    """How it is trained; like the student where not given."""


def _spelt_out(value: object) -> object:
    """Let a model alone stand for an assistant of that model."""
    alone = isinstance(value, str) or (isinstance(value, dict) and "model" not in value)
    return {"model": cast("object", value)} if alone else cast("object", value)


def _distinct(assistants: list[Assistant]) -> list[Assistant]:
    names = [name for name, _ in named(assistants)]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise PydanticCustomError(
                "name_twice",
                "found the name {name} twice in the chain; expected every name once",
                {"name": repr(name.removeprefix("assistant-"))},
            )
    return assistants


Assistants = Annotated[
    list[Annotated[Assistant, BeforeValidator(_spelt_out)]],
    Field(max_length=8),
    AfterValidator(_distinct),
]
"""Networks between teacher and student, largest first; a model's name stands for an assistant."""


def _kind(value: object) -> str:
    return "auto" if isinstance(value, str) else "chain"


AssistantsOrAuto = Annotated[
    Annotated[Assistants, Tag("chain")] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(_kind),
]
"""A chain that is written out, or the word that asks for the best assistant."""


def named(assistants: list[Assistant]) -> list[tuple[str, Assistant]]:
    """Return the assistants with the names of their links."""
    return [
        (f"assistant-{assistant.name or place}", assistant)
        for place, assistant in enumerate(assistants, start=1)
    ]
