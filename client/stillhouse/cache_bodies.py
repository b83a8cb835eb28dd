"""The shapes of what the API answers about teacher caches."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class CachedSheet(TypedDict):
    """One finished table of a teacher's answers."""

    part: str
    view: int | None
    """Number of the stored view; None is the image as it is."""
    augmentation: dict[str, Any] | None
    tap: str
    precision: str
    dtype: str
    top_k: int | None
    samples: int
    shape: list[int]


class TeacherCache(TypedDict):
    """What one teacher said of one data set."""

    object: Literal["teacher_cache"]
    key: str
    teacher: str
    weights_sha256: str
    data: str
    data_sha256: str
    validation_size: int
    bytes: int
    seconds: float
    sheets: list[CachedSheet]
    created_at: str
    used_at: str
    pinned: bool
    in_use: bool


class TeacherCacheList(TypedDict):
    """All teacher caches, the last used first."""

    object: Literal["list"]
    data: list[TeacherCache]
    bytes: int
    """What all of them take."""
    budget_bytes: int
