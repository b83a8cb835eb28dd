# Made of aio/teacher_caches.py by scripts/unasync.py: change that one.
"""What the server keeps of its teachers' answers, as calls."""

from __future__ import annotations

import builtins
from typing import cast
from urllib.parse import quote

from stillhouse.cache_bodies import TeacherCache, TeacherCacheList
from stillhouse.transport import Transport

_ALL = "/v1/teacher-caches"


class TeacherCaches:
    """The teacher caches of one server; `Client.teacher_caches`."""

    def __init__(self, transport: Transport) -> None:
        """Speak over a client's connection."""
        self._transport = transport

    def page(self) -> TeacherCacheList:
        """All caches, the last used first, with what they take and may take."""
        return cast("TeacherCacheList", self._transport.get(_ALL))

    def list(self) -> builtins.list[TeacherCache]:
        """All caches, the last used first."""
        page = self.page()
        return page["data"]

    def get(self, key: str) -> TeacherCache:
        """One cache: whose answers, about which data, in which views."""
        return cast("TeacherCache", self._transport.get(_one(key)))

    def pin(self, key: str, *, pinned: bool = True) -> TeacherCache:
        """Keep a cache whatever the budget, or with `pinned=False` no longer."""
        pin = {"pinned": pinned}
        return cast("TeacherCache", self._transport.send("PATCH", _one(key), pin))

    def delete(self, key: str) -> None:
        """Remove a cache; jobs that need it write it anew.

        Raises:
            ApiError: it is pinned, or a job reads it (409).
        """
        self._transport.request("DELETE", _one(key))


def _one(key: str) -> str:
    return f"{_ALL}/{quote(key, safe='')}"
