"""Files that a recipe may name: inside the inputs folder, or by a reference, and nothing else."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_SEPARATORS: Final = re.compile(r"[/\\]")
_REFERENCE: Final = re.compile(r"(?:dataset|model):[A-Za-z0-9_]{1,64}")


class Reference(str):
    """A file by the name that whoever keeps it has given it, as `dataset:ds_…`.

    The engine knows nobody who keeps files: who runs the recipe puts a path in its place.
    """

    __slots__ = ()

    @property
    def kind(self) -> str:
        """Return `dataset` or `model`."""
        return self.partition(":")[0]

    @property
    def id(self) -> str:
        """Return what stands behind the colon."""
        return self.partition(":")[2]


def _inside(path: str) -> str:
    if _REFERENCE.fullmatch(path):
        return Reference(path)
    # Windows separators and drives count on every system: the file may be opened elsewhere.
    leads_out = ".." in path and ".." in _SEPARATORS.split(path)
    if leads_out or path.startswith(("/", "\\", "~")) or ":" in path:
        raise PydanticCustomError(
            "path_outside_inputs",
            "found the path {path}; expected a relative path inside the inputs folder, or an"
            " uploaded file as dataset:ds_… or model:mdl_…",
            {"path": repr(path)},
        )
    return path


InputPath = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_inside)]
"""A file, relative to the inputs folder; to a service also `dataset:<id>` or `model:<id>`."""
