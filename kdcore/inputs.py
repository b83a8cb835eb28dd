"""Files that a recipe may name: inside the inputs folder, or by a reference, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_SEPARATORS: Final = re.compile(r"[/\\]")
_REFERENCE: Final = re.compile(r"(?:dataset|model|job):[A-Za-z0-9_]{1,64}")
_PART: Final = r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,95}"
HUB_REPOSITORY: Final = rf"{_PART}(?:/{_PART})?"
"""How repositories of the Hugging Face hub are called."""
_HUB: Final = re.compile(rf"hub:{HUB_REPOSITORY}@[0-9a-f]{{40}}")


class Reference(str):
    """A file by the name that whoever keeps it has given it, as `dataset:ds_…`.

    The engine knows nobody who keeps files: who runs the recipe puts a path in its place.
    """

    __slots__ = ()

    @property
    def kind(self) -> str:
        """Return `dataset`, `model`, `job` or `hub`."""
        return self.partition(":")[0]

    @property
    def id(self) -> str:
        """Return what stands behind the colon."""
        return self.partition(":")[2]


def _inside(path: str) -> str:
    if _REFERENCE.fullmatch(path) or _HUB.fullmatch(path):
        return Reference(path)
    if path.startswith("hub:"):
        raise PydanticCustomError(
            "hub_name",
            "found {path}; expected hub:owner/name@<commit>, the commit as 40 hexadecimal digits:"
            " a branch or a tag may be another network tomorrow",
            {"path": repr(path)},
        )
    # Windows separators and drives count on every system: the file may be opened elsewhere.
    leads_out = ".." in path and ".." in _SEPARATORS.split(path)
    if leads_out or path.startswith(("/", "\\", "~")) or ":" in path:
        raise PydanticCustomError(
            "path_outside_inputs",
            "found the path {path}; expected a relative path inside the inputs folder, or an"
            " uploaded file as dataset:ds_… or model:mdl_…, or an earlier job's as job:job_…",
            {"path": repr(path)},
        )
    return path


InputPath = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_inside)]
"""A file, relative to the inputs folder; a service knows `dataset:<id>` and so on, too."""


@dataclass(frozen=True, slots=True)
class Start:
    """A file of weights that a network begins with."""

    file: Path
    shown: str
    """What people call it."""
    new_head: bool
    """Whether the head is drawn anew, whatever the file has in its place."""
