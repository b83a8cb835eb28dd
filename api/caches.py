"""Teacher caches as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from api.schemas import Body, ListBody


class Sheet(Body):
    """One finished table of a teacher's answers."""

    part: str
    """`train`, `validation` or `test`."""
    view: int | None
    """Number of the stored view; null is the image as it is."""
    augmentation: dict[str, Any] | None
    tap: str
    """`logits`, or the stage of the network whose output it is."""
    precision: str
    """Numbers that the teacher computed in."""
    dtype: str
    """Numbers that are kept."""
    top_k: int | None
    samples: int
    shape: list[int]
    """Of one sample's answer."""


class TeacherCache(Body):
    """What one teacher said of one data set."""

    object: Literal["teacher_cache"] = "teacher_cache"
    key: str
    teacher: str
    weights_sha256: str
    """Of the teacher's safetensors content."""
    data: str
    data_sha256: str
    """Of all inputs and labels."""
    validation_size: int
    bytes: int
    seconds: float
    """Spent on asking the teacher."""
    sheets: list[Sheet]
    created_at: datetime
    used_at: datetime
    pinned: bool
    in_use: bool
    """True while a job reads it."""


class TeacherCacheList(ListBody[TeacherCache]):
    """All teacher caches, the last used first."""

    bytes: int
    """What all of them take."""
    budget_bytes: int
    """Above this the caches that were not used for the longest time make way."""
