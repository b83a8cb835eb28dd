"""Specs whose recipe was accepted a moment ago: only what is each job's own is read again.

Who tries a recipe posts it many times, with other seeds, names and labels. Whether a recipe can be
meant is a matter of the document alone, and what a job has of its own has no part in it, but for
the number of seeds; so the answer is kept, under the text of the rest.
"""

from __future__ import annotations

from collections import OrderedDict
from json import JSONEncoder
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
_OF_THE_RUN: Final = set(Recipe.model_fields)
_ORDER: Final = tuple(Recipe.model_fields)
_BEHIND_SEEDS: Final = _ORDER[_ORDER.index("seeds") + 1]
_write: Final = JSONEncoder(ensure_ascii=False).encode


class Familiar(NamedTuple):
    """A spec that was read, with its recipe as JSON."""

    spec: JobSpec
    recipe: Written


class _Known(NamedTuple):
    spec: JobSpec
    before_seeds: str
    after_seeds: str


_known: Final[OrderedDict[tuple[str, int], _Known]] = OrderedDict()
"""By the text of all that is no job's own, and the number of seeds; the last used are at the end.
Threads share it, so whatever is done to it is one call that no other thread comes into."""


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
    seeds = fields.get("seeds")
    key = _write(rest), len(cast("list[object]", seeds)) if isinstance(seeds, list) else 1
    known = _known.pop(key, None)
    try:
        if known is None:
            return _meet(key, JobSpec.model_validate(fields, context=LOOKED_THROUGH))
        _known[key] = known
        own = _Own.model_validate({name: fields[name] for name in OWN if name in fields})
    except ValidationError:
        return None
    name, seeds = _json(own, "name"), _json(own, "seeds")
    recipe = f'{{"name":{name},{known.before_seeds},"seeds":{seeds},{known.after_seeds}'
    return Familiar(known.spec.model_copy(update=own.__dict__), Written(recipe))


def _meet(key: tuple[str, int], spec: JobSpec) -> Familiar:
    """Remember a spec, with what stands around name and seeds in the text of its recipe."""
    # Every copy of it then has these; the first depends on how many seeds there are.
    _ = spec.extent, spec.references
    recipe = spec.model_dump_json(include=_OF_THE_RUN)
    named = recipe.removeprefix(f'{{"name":{_json(spec, "name")},')
    before, _, after = named.partition(f',"seeds":{_json(spec, "seeds")},"{_BEHIND_SEEDS}":')
    _known[key] = _Known(spec, before, f'"{_BEHIND_SEEDS}":{after}')
    if len(_known) > _KEPT:
        _known.popitem(last=False)
    return Familiar(spec, Written(recipe))


def _json(record: BaseModel, field: str) -> str:
    return to_json(getattr(record, field)).decode()
