"""The shapes of what the API answers about keys, projects and the audit."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Scope = Literal["read", "write", "admin"]


class Key(TypedDict):
    """An API key, without what opens doors."""

    id: str
    name: str
    scope: Scope
    project: str | None
    created_at: str
    created_by: str | None
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class CreatedKey(Key):
    """An API key at the only moment at which it is told."""

    key: str


class Project(TypedDict):
    """A project, and what it takes at the moment."""

    name: str
    created_at: str
    max_running: int | None
    max_waiting: int | None
    running: int
    waiting: int


class AuditLine(TypedDict):
    """One thing that somebody did."""

    id: int
    at: str
    project: str | None
    key_id: str | None
    address: str | None
    request_id: str | None
    action: str
    subject: str
    details: dict[str, Any]


class AuditPage(TypedDict):
    """One page of the audit, the newest first."""

    data: list[AuditLine]
    has_more: bool
    next_cursor: str | None


class Me(TypedDict):
    """Who asks, as the server sees them."""

    project: str
    scope: Scope
    house: bool
    key_id: str | None
