"""What is written beside kept answers: whose they are, about what, and in which numbers."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

KEY_DIGITS: Final = 32
_SHOWN: Final = 64


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class About(_Record):
    """Whose answers a cache holds, about which data; its digest is the cache's key."""

    teacher: str
    """The model as papers call it."""
    model: dict[str, Any]
    """The model in full."""
    weights_sha256: str
    """Of the teacher's safetensors content."""
    data: str
    """The data set's name."""
    data_sha256: str
    """Of all inputs and labels."""
    validation_size: int
    """Samples taken out of the training part: they decide which index means which sample."""
    format: int = 1

    def key(self) -> str:
        """Return the name of the cache: equal content, equal name."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:KEY_DIGITS]


class SheetAbout(_Record):
    """Which answers one sheet holds."""

    part: str
    """`train`, `validation` or `test`."""
    view: int | None
    """Number of the stored view; none is the image as it is."""
    augmentation: dict[str, Any] | None
    """What made the view."""
    tap: str
    """`logits`, or the stage whose output it is."""
    precision: str
    """Numbers that the teacher computed in."""
    dtype: str
    """Numbers that are kept."""
    top_k: int | None = None
    samples: int
    shape: list[int]
    """Of one sample's answer."""

    def name(self) -> str:
        """Return a folder name that people can read, and that no other answers have."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]
        view = "" if self.view is None else f"-view{self.view}"
        tap = re.sub(r"[^\w.-]", "_", self.tap)[:_SHOWN]  # a network may name its layers anyhow
        return f"{self.part}{view}-{tap}-{self.dtype}-{digest}"


class Manifest(_Record):
    """A finished sheet: written last, so a sheet without one is not finished."""

    sheet: SheetAbout
    rows: int
    """Samples in each shard but the last."""
    shards: list[str]
    """sha256 of each shard, in order."""
    seconds: float
    """Spent on asking the teacher, over all attempts; lost work is not in it."""


class Listed(_Record):
    """One cache as it stands on the shelf."""

    key: str
    about: About
    bytes: int
    seconds: float
    """Spent on asking the teacher."""
    sheets: list[SheetAbout]
    """The finished ones."""
    created_at: datetime
    used_at: datetime
    pinned: bool
    in_use: bool
