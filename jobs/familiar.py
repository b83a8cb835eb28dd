"""Specs whose recipe was accepted a moment ago: only what is each job's own is read again.

Who tries a recipe posts it many times, with other seeds, names and labels. Whether a recipe can be
meant is a matter of the document alone, and what a job has of its own has no part in it, but for
the number of seeds; so the answer is kept, under the text of the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, cast

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import to_json

from jobs.database import Written
from jobs.spec import LOOKED_THROUGH, JobSpec
from kdcore.entry import Record
from kdcore.recipe import Recipe

OWN: Final = tuple(
    name
    for name in JobSpec.model_fields
    if name in {"name", "seeds"} or name not in {*Recipe.model_fields, "resources"}
)
"""Fields that no check of a recipe looks at; of the seeds, only at how many there are. Resources
write a part of the recipe."""

_KEPT: Final = 128
"""Recipes that are remembered, with some 20 kB each."""
_ORDER: Final = tuple(Recipe.model_fields)
_SEEDS: Final = _ORDER.index("seeds")


class Familiar(NamedTuple):
    """A spec that was read, with its recipe as JSON."""

    spec: JobSpec
    recipe: Written


class _Known(NamedTuple):
    spec: JobSpec
    before_seeds: str
    after_seeds: str


def _as_declared(name: str) -> Any:
    field = JobSpec.model_fields[name]
    return (field.annotation, field)


_Own: type[BaseModel] = create_model(
    "_Own", __base__=Record, **{name: _as_declared(name) for name in OWN}
)


def read_familiar(document: object) -> Familiar | None:
    """Return what a document without flaws says; None where the whole of it is to be refused.

    The spec is equal to the one that validating the whole document gives.
    """
    if not isinstance(document, dict):
        return None
    fields = cast("dict[str, Any]", document)
    rest = {name: value for name, value in fields.items() if name not in OWN}
    try:
        own = _Own.model_validate({name: fields[name] for name in OWN if name in fields})
        values = own.__dict__
        known = _known(json.dumps(rest, ensure_ascii=False), len(values["seeds"]))
    except ValidationError:
        return None
    return Familiar(known.spec.model_copy(update=values), _recipe(known, values))


@lru_cache(_KEPT)
def _known(rest: str, seeds: int) -> _Known:
    document = {**json.loads(rest), "seeds": list(range(seeds))}
    spec = JobSpec.model_validate(document, context=LOOKED_THROUGH)
    _ = spec.extent  # which every copy of it then has, since it depends on how many seeds there are
    # The name comes first.
    return _Known(spec, _members(spec, _ORDER[1:_SEEDS]), _members(spec, _ORDER[_SEEDS + 1 :]))


def _members(spec: JobSpec, names: tuple[str, ...]) -> str:
    return spec.model_dump_json(include=set(names))[1:-1]


def _recipe(known: _Known, own: Mapping[str, Any]) -> Written:
    name, seeds = (to_json(own[field]).decode() for field in ("name", "seeds"))
    return Written(f'{{"name":{name},{known.before_seeds},"seeds":{seeds},{known.after_seeds}}}')
