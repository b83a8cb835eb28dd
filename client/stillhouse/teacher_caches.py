"""What the server keeps of its teachers' answers, as calls."""

from __future__ import annotations

import builtins
import json
from typing import Any, Literal, TypedDict, cast
from urllib.parse import quote

from stillhouse.transport import Transport

_ALL = "/v1/teacher-caches"


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


class TeacherCaches:
    """The teacher caches of one server; `Client.teacher_caches`."""

    def __init__(self, transport: Transport) -> None:
        """Speak over a client's connection."""
        self._transport = transport

    def page(self) -> TeacherCacheList:
        """All caches, the last used first, with what they take and may take."""
        return cast("TeacherCacheList", self._transport.request("GET", _ALL).json())

    def list(self) -> builtins.list[TeacherCache]:
        """All caches, the last used first."""
        return self.page()["data"]

    def get(self, key: str) -> TeacherCache:
        """One cache: whose answers, about which data, in which views."""
        return cast("TeacherCache", self._transport.request("GET", _one(key)).json())

    def pin(self, key: str, *, pinned: bool = True) -> TeacherCache:
        """Keep a cache whatever the budget, or with `pinned=False` no longer."""
        return cast(
            "TeacherCache",
            self._transport.request(
                "PATCH",
                _one(key),
                headers={"Content-Type": "application/json"},
                content=json.dumps({"pinned": pinned}).encode(),
            ).json(),
        )

    def delete(self, key: str) -> None:
        """Remove a cache; jobs that need it write it anew.

        Raises:
            ApiError: it is pinned, or a job reads it (409).
        """
        self._transport.request("DELETE", _one(key))


def _one(key: str) -> str:
    return f"{_ALL}/{quote(key, safe='')}"
