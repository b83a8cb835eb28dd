"""The short way for the two requests that come by the thousand: one job read, one job posted.

It says what the routes say, by their own functions, without the routing, the dependencies and the
parameters that these requests do not have. Whatever is out of the ordinary (a query, a preference,
an id that cannot be one) takes the long way; so does a GET whose job is not there.
"""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.bodies import read_body
from api.callers import caller_of
from api.dependencies import House, Visit
from api.routes import jobs
from jobs.errors import JobNotFound
from jobs.ids import JOB_ID

_JOBS: Final = "/v1/jobs"
_HERE: Final = len(_JOBS) + 1


async def _unused(_: Request) -> Response:
    return Response(status_code=404)


# The names under which the requests are counted.
_ONE: Final = Route("/v1/jobs/{job_id}", _unused)
_ALL: Final = Route(_JOBS, _unused)


class Shortcut:
    """Stands between the guard and the app."""

    def __init__(self, app: ASGIApp, *, house: House) -> None:
        """Answer from `house`, and leave the rest to `app`."""
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, here or there."""
        answer: Response | None = None
        if scope["type"] == "http" and not scope["query_string"]:
            path: str = scope["path"]
            if scope["method"] == "GET" and path.startswith(_JOBS):
                answer = await self._read(scope, path[_HERE:])
            elif scope["method"] == "POST" and path == _JOBS:
                scope["route"] = _ALL
                request = Request(scope, receive)
                body = await read_body(request)
                visit = Visit(self._house, caller_of(scope))
                answer = await jobs.submit(visit, body, request.headers.get("idempotency-key"))
        await (answer or self._app)(scope, receive, send)

    async def _read(self, scope: Scope, job_id: str) -> Response | None:
        if not JOB_ID.fullmatch(job_id):
            return None
        headers = Headers(scope=scope)
        if "prefer" in headers:
            return None
        try:
            _, answer = await jobs.read(Visit(self._house, caller_of(scope)), job_id, headers)
        except JobNotFound:
            return None
        scope["route"] = _ONE
        return answer
