"""Files that a spec names by reference: found in it, and put into its recipe as paths.

A recipe names such a file by its content, `uploads/<sha256>/<name>`, so that the recipe's digest
stands for the file as well; a worker lays it there before the trainer starts.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import BaseModel

from jobs.database import Written
from jobs.input_tables import Input
from kdcore.inputs import Reference

FOLDER: Final = "uploads"
"""In the inputs folder that an attempt has."""

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A file that a spec names by reference, and where it does."""

    place: Place
    reference: Reference

    @property
    def pointer(self) -> str:
        """The JSON pointer to it."""
        return "".join(f"/{part}" for part in self.place)

    @property
    def kind(self) -> str:
        """The kind of file that belongs there."""
        return "dataset" if self.place[0] == "data" else "model"


def references_of(spec: BaseModel) -> tuple[Named, ...]:
    """Return all files that a spec names by reference."""
    return tuple(_references(spec, ()))


def _references(value: object, place: Place) -> Iterator[Named]:
    match value:
        case Reference():
            yield Named(place, value)
        case BaseModel():
            for name in type(value).model_fields:
                yield from _references(getattr(value, name), (*place, name))
        case list() | tuple():
            for number, one in enumerate(cast("list[object]", value)):
                yield from _references(one, (*place, number))
        case dict():
            for name, one in cast("dict[str, object]", value).items():
                yield from _references(one, (*place, name))
        case _:
            pass


def path_of(sha256: str, name: str) -> str:
    """Return by which path a recipe names a file of this content."""
    return f"{FOLDER}/{sha256}/{name}"


def with_paths(recipe: str, found: Mapping[Named, Input]) -> Written:
    """Return a recipe's JSON with paths where it has references."""
    document: dict[str, Any] = json.loads(recipe)
    for named, row in found.items():
        here: Any = document
        for part in named.place[:-1]:
            here = here[part]
        here[named.place[-1]] = path_of(row.sha256, row.name)
    return Written(json.dumps(document, ensure_ascii=False))
