"""Who may come in: behind the guard, before everything that knows of jobs.

Where a key was ever made, everybody is asked for one: `Authorization: Bearer shk_…`, or a browser's
cookie. Before that, the house is open, and listens on a loopback address only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from api.callers import COOKIE, Caller, author_of
from api.locks import Locks
from api.pace import Pace
from api.pages.paths import is_page
from api.problems import Problem
from jobs.keys import Scope
from jobs.projects import PROJECT_NAME
from jobs.settings import Settings
from jobs.tenants import DEFAULT_PROJECT

PROJECT_HEADER: Final = "stillhouse-project"
OPEN: Final = frozenset({"/livez", "/readyz", "/openapi.json", "/login", "/logout"})
"""Paths that say nothing about anybody's jobs."""
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BURST_SECONDS: Final = 4.0
LONGEST_NEXT: Final = 2000
"""Characters of the page that somebody is led to after signing in."""


class Doorman:
    """Finds out who asks, and lets nobody else pass."""

    def __init__(self, app: ASGIApp, *, settings: Settings, locks: Locks) -> None:
        """Stand before `app`."""
        self._app = app
        self._locks = locks
        rate = settings.rate_per_second
        self._pace = Pace(rate, max(1.0, rate * _BURST_SECONDS)) if rate else None

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Let one request in, or refuse it."""
        path: str = scope.get("path", "")
        if scope["type"] == "http" and path not in OPEN and not path.startswith("/static/"):
            headers = Headers(scope=scope)
            caller = await self._caller(scope, headers)
            if caller is None:
                if not is_page(path, headers):
                    raise _key_wanted("found no key; expected one")
                there = RedirectResponse(f"/login?next={quote(_page_of(scope))}", 303)
                await there(scope, receive, send)
                return
            caller.require(Scope.READ if scope["method"] in _READING else Scope.WRITE)
            scope["state"]["caller"] = caller
        await self._app(scope, receive, send)

    async def _caller(self, scope: AsgiScope, headers: Headers) -> Caller | None:
        """Return who asks; None where a key is wanted and none was shown."""
        author = author_of(scope)
        if await self._locks.are_none():
            # Whatever is shown: some clients always show a key.
            project = await self._project(headers, None)
            return Caller(project, Scope.ADMIN, is_house=True, author=author)
        shown, is_cookie = _shown(headers)
        if shown is None:
            return None
        found = await self._locks.tried(shown, author.address)
        if found is None:
            if is_cookie:
                return None  # a session that is over
            raise _key_wanted("found a key that opens nothing here; expected a valid one")
        if self._pace is not None:
            self._pace.take(found.id, "rate_limited", f"the key {found.id} asks too often")
        project = await self._project(headers, found.project)
        author = replace(author, key_id=found.id)
        return Caller(project, found.scope, is_house=found.project is None, author=author)

    async def _project(self, headers: Headers, own: str | None) -> str:
        """Return the project that a request is about: the key's, or the one that it names.

        Raises:
            Problem: 404; there is no such project for this key.
        """
        named = headers.get(PROJECT_HEADER)
        if named is None or named == own:
            return own or DEFAULT_PROJECT
        is_one = PROJECT_NAME.fullmatch(named) is not None
        if own is None and is_one and await self._locks.has_project(named):
            return named
        raise Problem(
            404,
            "project_not_found",
            f"header Stillhouse-Project: found {named[:80]!r}; expected a project of this key",
            hint="GET /v1/projects lists them",
        )


def _page_of(scope: AsgiScope) -> str:
    """Return the page to show once somebody has signed in: a button's is the one that it is on."""
    path: str = scope["path"]
    if scope["method"] not in _READING:
        return path.rpartition("/")[0] or path
    query: str = scope["query_string"].decode("latin-1")
    asked = f"{path}?{query}" if query else path
    return asked if len(asked) <= LONGEST_NEXT else path


def _shown(headers: Headers) -> tuple[str | None, bool]:
    """Return the key that a request shows, and whether a browser's cookie holds it."""
    authorization = headers.get("authorization")
    if authorization is not None:
        kind, _, key = authorization.partition(" ")
        return (key.strip() if kind.lower() == "bearer" else ""), False
    session = cookie_parser(headers.get("cookie", "")).get(COOKIE)
    return session or None, True


def _key_wanted(found: str) -> Problem:
    return Problem(
        401,
        "key_required",
        f"header Authorization: {found}",
        hint="send `Authorization: Bearer shk_…`; with the command line set STILLHOUSE_API_KEY",
        headers={"WWW-Authenticate": 'Bearer realm="Stillhouse"'},
    )
