"""Paths that a recipe may name: files inside the inputs folder, and nothing else."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError


def _inside(path: str) -> str:
    # Windows separators and drives count on every system: the file may be opened elsewhere.
    parts = {*PurePosixPath(path).parts, *PureWindowsPath(path).parts}
    if path.startswith(("/", "\\", "~")) or ".." in parts or ":" in path:
        raise PydanticCustomError(
            "path_outside_inputs",
            "found the path {path}; expected a relative path inside the inputs folder",
            {"path": repr(path)},
        )
    return path


InputPath = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_inside)]
"""A file, relative to the inputs folder."""
