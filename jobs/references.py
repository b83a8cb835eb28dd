"""Files that a spec names by reference: found in it, and put into its recipe as paths.

A recipe names an uploaded file by its content, `uploads/<sha256>/<name>`, so that the recipe's
digest stands for the file as well, the folder of an earlier job as `uploads/<job>`, and one of the
hub as `uploads/hub/<owner>/<name>/<commit>`; a worker lays it there before the trainer starts. A
recipe's own paths are references, too: a delivered `spec.lock` is posted as it is.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from pydantic import BaseModel

from jobs.database import Written
from jobs.ids import JOB_ID
from kdcore.inputs import HUB_REPOSITORY, Reference
from kdcore.model import Model
from kdcore.recipe import Recipe

FOLDER: Final = "uploads"
"""In the inputs folder that an attempt has."""

Place = tuple[str | int, ...]
Kind = Literal["dataset", "model", "job", "hub"]

_BY_CONTENT: Final = re.compile(rf"{FOLDER}/(?P<sha256>[0-9a-f]{{64}})/[^/]+")
_BY_HUB: Final = re.compile(
    rf"{FOLDER}/hub/(?P<repository>{HUB_REPOSITORY})/(?P<commit>[0-9a-f]{{40}})"
)
_BY_JOB: Final = re.compile(rf"{FOLDER}/(?P<job>{JOB_ID.pattern})")


@dataclass(frozen=True, slots=True)
class Named:
    """A file, or a folder, that a spec names by reference, and where it does."""

    place: Place
    kind: Kind
    """What is named."""
    id: str
    """Its id, or of an uploaded file the sha256."""
    files: tuple[str, ...] = ()
    """What a folder must hold; none where a file is expected."""

    @property
    def pointer(self) -> str:
        """The JSON pointer to it."""
        return "".join(f"/{part}" for part in self.place)

    @property
    def wanted(self) -> Literal["dataset", "model"]:
        """The kind of upload that belongs there."""
        return "dataset" if self.place[0] == "data" else "model"

    @property
    def is_folder(self) -> bool:
        """Whether a folder belongs there, as a zip or as what an earlier job delivered."""
        return bool(self.files)


def references_of(
    spec: BaseModel, fields: Iterable[str] = Recipe.model_fields
) -> tuple[Named, ...]:
    """Return all that some fields of a spec name by reference."""
    return tuple(named for name in fields for named in _references(getattr(spec, name), (name,)))


def _references(value: object, place: Place, files: tuple[str, ...] = ()) -> Iterator[Named]:
    match value:
        case str():
            if named := _named(value, place, files):
                yield named
        case BaseModel():
            for name in type(value).model_fields:
                yield from _references(getattr(value, name), (*place, name), _files_in(value, name))
        case list() | tuple():
            for number, one in enumerate(cast("list[object]", value)):
                yield from _references(one, (*place, number))
        case dict():
            for name, one in cast("dict[str, object]", value).items():
                yield from _references(one, (*place, name))
        case _:
            pass


def _named(text: str, place: Place, files: tuple[str, ...]) -> Named | None:
    if isinstance(text, Reference):
        return Named(place, cast("Kind", text.kind), text.id, files)
    if found := _BY_JOB.fullmatch(text):
        return Named(place, "job", found["job"], files)
    if found := _BY_HUB.fullmatch(text):
        return Named(place, "hub", f"{found['repository']}@{found['commit']}", files)
    if found := _BY_CONTENT.fullmatch(text):
        named = Named(place, "model", found["sha256"], files)
        return Named(place, named.wanted, named.id, files)
    return None


def _files_in(value: BaseModel, name: str) -> tuple[str, ...]:
    """Return what the folder must hold that a field names; none where it names no folder."""
    if not isinstance(value, Model) or not value.names_a_folder or name != "path":
        return ()
    return tuple(file.rpartition("/")[2] for file in value.files())


def path_of(sha256: str, name: str) -> str:
    """Return by which path a recipe names a file of this content."""
    return f"{FOLDER}/{sha256}/{name}"


def job_path(job_id: str) -> str:
    """Return by which path a recipe names the files of an earlier job."""
    return f"{FOLDER}/{job_id}"


def hub_path(name: str) -> str:
    """Return by which path a recipe names a repository of the hub, `owner/name@<commit>`."""
    repository, _, commit = name.partition("@")
    return f"{FOLDER}/hub/{repository}/{commit}"


def hub_name(path: str) -> str | None:
    """Return which repository of the hub a path of a recipe names, if any."""
    found = _BY_HUB.fullmatch(path)
    return f"{found['repository']}@{found['commit']}" if found else None


def with_paths(recipe: str, found: Mapping[Named, str]) -> Written:
    """Return a recipe's JSON with paths where it has references."""
    document: dict[str, Any] = json.loads(recipe)
    for named, path in found.items():
        here: Any = document
        for part in named.place[:-1]:
            here = here[part]
        here[named.place[-1]] = path
    return Written(json.dumps(document, ensure_ascii=False))
