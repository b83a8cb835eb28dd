"""How shards are named: one pattern for many, a list, or the folder that they lie in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import Discriminator, Field, Tag

from kdcore.errors import DataError
from kdcore.inputs import InputPath
from kdcore.reading.collection import several
from kdcore.reading.trees import open_tree

MAX_SHARDS: Final = 100_000
_RANGE: Final = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}")


def _form(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "pattern"


ShardNames = Annotated[
    Annotated[InputPath, Tag("pattern")]
    | Annotated[
        Annotated[list[InputPath], Field(min_length=1, max_length=MAX_SHARDS)], Tag("list")
    ],
    Discriminator(_form),
]
"""A pattern such as `train-{000..146}.tar`, a list of these, or a folder."""


def shards_of(inputs: Path, names: str | list[str]) -> list[str]:
    """Return the shards that are named, each of which is there.

    Raises:
        DataError: one is not there, is named twice, or there are none or too many.
    """
    found: list[str] = []
    for name in [names] if isinstance(names, str) else names:
        if (inputs / name).is_dir():
            found += _in_folder(inputs, name)
        else:
            found += expanded(name)
        if len(found) > MAX_SHARDS:
            raise DataError(f"{name}: names more than {MAX_SHARDS:,} shards")
    if missing := [name for name in found if not (inputs / name).is_file()]:
        raise DataError(
            f"found no {several(missing)} in the inputs folder; expected {len(found)} shards, "
            f"and {len(missing)} are missing",
            hint="put the shards there, or change the numbers in braces",
        )
    if len(set(found)) < len(found):
        twice = sorted({name for name in found if found.count(name) > 1})
        raise DataError(f"found {several(twice)} more than once; expected each shard once")
    return found


def expanded(pattern: str) -> list[str]:
    """Return the names that a pattern stands for: `{008..010}` is 008, 009, 010."""
    match = _RANGE.search(pattern)
    if match is None:
        return [pattern]
    first, last = match.groups()
    if not 0 <= int(last) - int(first) < MAX_SHARDS:
        raise DataError(
            f"{pattern}: found {match[0]}; expected the smaller number first, and at most "
            f"{MAX_SHARDS:,} shards"
        )
    width = len(first) if first.startswith("0") else 1
    before, after = pattern[: match.start()], expanded(pattern[match.end() :])
    numbers = range(int(first), int(last) + 1)
    if len(numbers) * len(after) > MAX_SHARDS:
        raise DataError(f"{pattern}: names more than {MAX_SHARDS:,} shards")
    return [f"{before}{number:0{width}}{rest}" for number in numbers for rest in after]


def _in_folder(inputs: Path, folder: str) -> list[str]:
    with open_tree(inputs, folder) as tree:
        names = [f"{folder}/{name}" for name in tree.sizes if name.lower().endswith(".tar")]
    if not names:
        raise DataError(f"{folder}: found no .tar file in the folder; expected shards")
    return names
