"""Paths that a recipe may name: files inside the inputs folder, and nothing else."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_SEPARATORS: Final = re.compile(r"[/\\]")


def _inside(path: str) -> str:
    # Windows separators and drives count on every system: the file may be opened elsewhere.
    leads_out = ".." in path and ".." in _SEPARATORS.split(path)
    if leads_out or path.startswith(("/", "\\", "~")) or ":" in path:
        raise PydanticCustomError(
            "path_outside_inputs",
            "found the path {path}; expected a relative path inside the inputs folder",
            {"path": repr(path)},
        )
    return path


InputPath = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_inside)]
"""A file, relative to the inputs folder."""
