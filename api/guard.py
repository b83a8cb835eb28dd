"""The outermost layer: request ids, host names, cross-site posts, headers, and the last net.

Plain ASGI, so that streams pass through unbuffered.
"""

from __future__ import annotations

import logging
import random
import re
import time
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.exposition import Meters
from api.problems import Problem, answer, problem_of
from api.told import name_span, tell
from jobs.logs import bind
from jobs.settings import Settings
from jobs.traces import current_span

log = logging.getLogger(__name__)

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'; object-src 'none'"
    ),
}

_SENT: Final = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]


class Guard:
    """Wraps the whole app: nothing reaches it unchecked, nothing leaves it without an id."""

    def __init__(self, app: ASGIApp, *, settings: Settings, meters: Meters) -> None:
        """Stand before `app`; the settings say which host names are ours."""
        self._app = app
        self._meters = meters
        listed = {name.strip().lower() for name in settings.allowed_hosts.split(",")}
        self._any_host = "*" in listed
        self._hosts = LOOPBACK_NAMES | {settings.host.lower()} | (listed - {"", "*"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        sent_id = headers.get("x-request-id", "")
        request_id = sent_id if _REQUEST_ID.fullmatch(sent_id) else _new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        bind(request_id=request_id)
        span = current_span()
        started = time.perf_counter()
        status = 0

        async def finish(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if span is not None:
                    name_span(span, scope)
                outgoing: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
                named = {name for name, _ in outgoing}
                outgoing.append((b"x-request-id", request_id.encode()))
                outgoing += [header for header in _SENT if header[0] not in named]
                message["headers"] = outgoing
            await send(message)

        try:
            try:
                self._refuse_strangers(scope, headers)
                await self._app(scope, receive, finish)
            except ClientDisconnect:
                return
            except Exception as error:
                problem = problem_of(error)
                if problem.status == 500:  # noqa: PLR2004 - the one that is our own fault
                    log.exception("request %s failed", request_id)
                if status:
                    # The answer has begun: a broken connection is the only honest end.
                    raise
                response = answer(problem, instance=scope["path"], request_id=request_id)
                await response(scope, receive, finish)
        finally:
            tell(scope, status, time.perf_counter() - started, self._meters)

    def _refuse_strangers(self, scope: Scope, headers: Headers) -> None:
        host = _host_name(headers.get("host", ""))
        if not self._any_host and host not in self._hosts:
            raise Problem(
                400,
                "host_not_allowed",
                f"found Host {host[:100]!r}; expected a name of this server",
                hint="list the name in STILLHOUSE_ALLOWED_HOSTS",
            )
        if scope["method"] in _SAFE_METHODS:
            return
        # Without keys, a foreign page open in the same browser must not be able to post here.
        site = headers.get("sec-fetch-site")
        origin = headers.get("origin")
        foreign = origin is not None and _host_name(urlsplit(origin).netloc) not in self._hosts
        if site in {"cross-site", "same-site"} or (site is None and foreign and not self._any_host):
            raise Problem(
                403,
                "cross_site_request",
                "found a request that another site's page has sent; expected one of our own pages,"
                " or a program",
            )


def _new_id() -> str:
    # Nothing depends on nobody's guessing it, and the system's own randomness costs a call into it.
    return f"{random.getrandbits(128):032x}"


def _host_name(host: str) -> str:
    """Return a Host header without its port, lower case; an IPv6 address keeps its brackets."""
    name = host.strip().lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0].rstrip(".")
