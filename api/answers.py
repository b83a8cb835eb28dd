"""How bodies are sent: JSON with a validator, and what the OpenAPI document says about problems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.responses import Response

from api.downloads import matches
from api.problems import MEDIA_TYPE
from api.schemas import ProblemBody
from api.views import etag

_WHEN: Final = {
    400: "The Host header names another server.",
    401: "No key came with the request, or one that opens nothing here.",
    403: "The key is not good for this, or another site's page has sent the request.",
    404: "There is no such thing.",
    408: "The body did not come in time.",
    409: "The status does not allow this, or something else is in its way.",
    410: "It was there, and is gone.",
    413: "The body is too large.",
    415: "The media type of the body is not one of those that are read.",
    416: "The range lies outside of the file.",
    422: "The content of the request cannot be accepted; `errors` point at the places.",
    429: "Too many requests, or too many jobs that wait; try again after `Retry-After` seconds.",
    503: "The database does not answer; try again after `Retry-After` seconds.",
}
_ANYWHERE: Final = (401, 403, 429, 503)
NO_STORE: Final = {"Cache-Control": "no-store"}
"""What is another thing the next moment, or nobody else's."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return OpenAPI's words for the problems of a route, besides those that all can have."""
    return {
        status: {
            "description": _WHEN[status],
            "model": ProblemBody,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
        }
        for status in sorted({*statuses, *_ANYWHERE})
    }


def send(
    body: BaseModel,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    after: BackgroundTask | None = None,
) -> Response:
    """Return a JSON answer whose ETag is made of its bytes; `after` runs once it is sent."""
    return send_content(body.model_dump_json().encode(), status, headers=headers, after=after)


def send_content(
    content: bytes,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    after: BackgroundTask | None = None,
) -> Response:
    """Return JSON that is written already, as `send` does."""
    extra = {"ETag": etag(content), "Cache-Control": "no-cache", **(headers or {})}
    return Response(content, status, extra, "application/json", after)


def unless_known(response: Response, asked: Headers) -> Response:
    """Return a 304 where the client already has what the answer holds, otherwise the answer."""
    tag = response.headers["etag"]
    if not matches(asked.get("if-none-match"), tag):
        return response
    return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "no-cache"})
