"""Specs that need an extra which no worker has: refused at once, and not when one has tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast

from pydantic import BaseModel

from api.dependencies import Visit
from api.problems import PayloadProblem
from api.schemas import FieldError
from kdcore.entry import Entry
from kdcore.recipe import Recipe

_PARTS: Final = ("teacher", "student", "data", "method", "path")


def extras_of(recipe: Recipe) -> Mapping[str, Entry]:
    """Return the parts of a recipe that need an extra, by their pointers.

    A file's format is told by its path, so uploaded files are to stand in it by theirs.
    """
    found = {
        pointer: one
        for part in _PARTS
        for pointer, one in _entries(getattr(recipe, part), f"/{part}")
        if one.extras()
    }
    if not any(pointer.startswith("/method") for pointer in found):
        return found
    # The method has written the path, and what the client sent is the method.
    return {pointer: one for pointer, one in found.items() if not pointer.startswith("/path")}


def _entries(value: object, pointer: str) -> Iterator[tuple[str, Entry]]:
    if isinstance(value, Entry):
        yield pointer, value
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _entries(getattr(value, name), f"{pointer}/{name}")
    elif isinstance(value, list | tuple):
        for place, one in enumerate(cast("list[object]", value)):
            yield from _entries(one, f"{pointer}/{place}")


def require_extras(visit: Visit, needed: Mapping[str, Entry]) -> None:
    """Refuse what none of the workers can run; where none is there, it waits for one.

    Raises:
        PayloadProblem: as above; the pointers say what needs it.
    """
    oldest = visit.house.oldest_beat()
    with visit.reading() as repository:
        alive = [row.about or {} for row in repository.workers() if row.seen_at >= oldest]
    # One that is older than the list of extras may have any.
    if not alive or any("extras" not in about for about in alive):
        return
    wanted = frozenset[str]().union(*(one.extras() for one in needed.values()))
    if any(wanted <= set(about["extras"]) for about in alive):
        return
    names = ", ".join(sorted(wanted))
    raise PayloadProblem(
        [
            FieldError(
                pointer=pointer,
                code="extra_missing",
                message=f"found {one.name}, which needs {_called(one)}, and no worker that has "
                f"{names}; expected one",
                hint=f"pip install 'stillhouse-server[{names}]' on a worker, and start it again",
            )
            for pointer, one in needed.items()
        ],
        code="extra_missing",
    )


def _called(one: Entry) -> str:
    extras = [f"`{extra}`" for extra in sorted(one.extras())]
    return f"the extra{'s' * (len(extras) > 1)} {' and '.join(extras)}"
