"""Keys, projects and the audit of a server, as calls."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote

from stillhouse.access_bodies import AuditPage, CreatedKey, Key, Me, Project, Scope
from stillhouse.aio.transport import AsyncTransport


class AsyncAccess:
    """Who may do what on one server; `Client.access`."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Speak over a client's connection."""
        self._transport = transport

    async def me(self) -> Me:
        """Who one is: the project, the scope and the key's id."""
        return cast("Me", await self._ask("GET", "/v1/me"))

    async def keys(self) -> builtins.list[Key]:
        """The keys of the project, the newest first; with a key of the house, all keys."""
        return cast("dict[str, builtins.list[Key]]", await self._ask("GET", "/v1/keys"))["data"]

    async def create_key(
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
        return cast("CreatedKey", await self._ask("POST", "/v1/keys", wanted))

    async def revoke_key(self, key_id: str) -> Key:
        """Have a key open nothing any more; again changes nothing."""
        return cast("Key", await self._ask("DELETE", f"/v1/keys/{quote(key_id, safe='')}"))

    async def projects(self) -> builtins.list[Project]:
        """The projects that the key opens, and what each takes at the moment."""
        found = await self._ask("GET", "/v1/projects")
        return cast("dict[str, builtins.list[Project]]", found)["data"]

    async def create_project(self, name: str, **limits: int | None) -> Project:
        """Make a project, with `max_running` and `max_waiting` where they are wanted."""
        return cast("Project", await self._ask("POST", "/v1/projects", {"name": name, **limits}))

    async def limit_project(self, name: str, **limits: int | None) -> Project:
        """Set `max_running` or `max_waiting`; None is no limit."""
        path = f"/v1/projects/{quote(name, safe='')}"
        return cast("Project", await self._ask("PATCH", path, limits))

    async def audit(
        self, *, subject: str | None = None, after: str | None = None, limit: int = 50
    ) -> AuditPage:
        """One page of what was done to what by whom, the newest first."""
        wanted = {"limit": limit, "subject": subject or None, "after": after or None}
        return cast("AuditPage", await self._transport.get("/v1/audit", wanted))

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> object:
        return await self._transport.send(method, path, body)
