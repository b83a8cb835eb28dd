# Made of aio/access.py by scripts/unasync.py: change that one.
"""Keys, projects and the audit of a server, as calls."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from stillhouse.access_bodies import AuditPage, CreatedKey, Key, Me, Project, Scope
from stillhouse.transport import Transport


class Access:
    """Who may do what on one server; `Client.access`."""

    def __init__(self, transport: Transport) -> None:
        """Speak over a client's connection."""
        self._transport = transport

    def me(self) -> Me:
        """Who one is: the project, the scope and the key's id."""
        return cast("Me", self._ask("GET", "/v1/me"))

    def keys(self) -> builtins.list[Key]:
        """The keys of the project, the newest first; with a key of the house, all keys."""
        return cast("dict[str, builtins.list[Key]]", self._ask("GET", "/v1/keys"))["data"]

    def create_key(
        self,
        name: str,
        *,
        scope: Scope = "write",
        project: str | None = None,
        house: bool = False,
        expires_in_days: int | None = None,
    ) -> CreatedKey:
        """Make a key; `key` in the answer is told once and kept nowhere.

        Raises:
            ApiError: this takes the scope admin, and for other projects a key of the house (403).
        """
        wanted = {"name": name, "scope": scope, "house": house}
        given = {"project": project, "expires_in_days": expires_in_days}
        wanted |= {word: value for word, value in given.items() if value is not None}
        return cast("CreatedKey", self._ask("POST", "/v1/keys", wanted))

    def revoke_key(self, key_id: str) -> Key:
        """Have a key open nothing any more; again changes nothing."""
        return cast("Key", self._ask("DELETE", f"/v1/keys/{quote(key_id, safe='')}"))

    def projects(self) -> builtins.list[Project]:
        """The projects that the key opens, and what each takes at the moment."""
        found = self._ask("GET", "/v1/projects")
        return cast("dict[str, builtins.list[Project]]", found)["data"]

    def create_project(self, name: str, **limits: int | None) -> Project:
        """Make a project, with `max_running` and `max_waiting` where they are wanted."""
        return cast("Project", self._ask("POST", "/v1/projects", {"name": name, **limits}))

    def limit_project(self, name: str, **limits: int | None) -> Project:
        """Set `max_running` or `max_waiting`; None is no limit."""
        path = f"/v1/projects/{quote(name, safe='')}"
        return cast("Project", self._ask("PATCH", path, limits))

    def audit(
        self, *, subject: str | None = None, after: str | None = None, limit: int = 50
    ) -> AuditPage:
        """One page of what was done to what by whom, the newest first."""
        wanted = {"limit": limit, "subject": subject or None, "after": after or None}
        return cast("AuditPage", self._transport.get("/v1/audit", wanted))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> object:
        return self._transport.send(method, path, body)
