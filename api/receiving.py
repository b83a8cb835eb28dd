"""A large body on its way into the store: block by block, whatever its length."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request

from api.checks import fault
from api.forms import FORM
from api.problems import Problem
from jobs.artifacts import CHUNK_BYTES, NAME
from jobs.receiving import Received, Reception

IDLE_SECONDS: Final = 60.0
"""How long a client may send nothing."""
_BYTES: Final[dict[str, Any]] = {"type": "string", "format": "binary"}
_PLAIN: Final[dict[str, Any]] = {"application/octet-stream": {"schema": _BYTES}}
_FORM: Final[dict[str, Any]] = {
    FORM: {
        "schema": {
            "type": "object",
            "properties": {"file": _BYTES},
            "required": ["file"],
            "additionalProperties": False,
        }
    }
}
BODY: Final[dict[str, Any]] = {"required": True, "content": _PLAIN}
"""OpenAPI's words for such a body."""
FILE_BODY: Final[dict[str, Any]] = {"required": True, "content": _PLAIN | _FORM}
"""The same, or a form with a file in it."""

_MAX_DIGITS: Final = 19
_DIGEST: Final = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):", re.IGNORECASE)
_FILENAME: Final = re.compile(r'filename\s*=\s*(?:"([^"\\]*)"|([^\s;"]+))', re.IGNORECASE)


async def incoming(request: Request) -> AsyncGenerator[bytes]:
    """Yield the request's body as it comes.

    Raises:
        Problem: 408, the client sends nothing any more.
        starlette.requests.ClientDisconnect: it left.
    """
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise Problem(
                408,
                "body_timeout",
                f"nothing came for {IDLE_SECONDS:.0f} s; nothing was kept",
                hint="send it again, or in parts: POST /v1/uploads",
                headers={"Connection": "close"},
            ) from None
        if chunk is None:
            return
        yield chunk


async def receive(
    body: AsyncIterator[bytes],
    begin: Callable[[], Reception],
    media_type: str = "application/octet-stream",
) -> Received:
    """Take in a body and return what lies in the store; or leave nothing there.

    Raises:
        Problem: 408, the client sends nothing any more.
        starlette.requests.ClientDisconnect: it left.
        TooLarge: there is more than may be.
        ContentRefused: it is not what it should be.
        StoreFull: there is no room.
        StoreUnavailable: the store went away.
    """
    reception = await run_in_threadpool(begin)
    try:
        waiting = bytearray()
        async for chunk in body:
            waiting += chunk
            if len(waiting) >= CHUNK_BYTES:
                await run_in_threadpool(reception.write, bytes(waiting))
                waiting.clear()
        if waiting:
            await run_in_threadpool(reception.write, bytes(waiting))
        return await run_in_threadpool(reception.finish, media_type)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(reception.abandon)
        raise


def announced_size(headers: Headers) -> int | None:
    """Return how many bytes will come, where that is said."""
    said = headers.get("content-length", "")
    return int(said[:_MAX_DIGITS]) if said.isdecimal() else None


def announced_sha256(headers: Headers) -> str | None:
    """Return the sha256 that `Repr-Digest` or `Content-Digest` announce, as hex (RFC 9530).

    Raises:
        PayloadProblem: one of them names a sha-256 that is none, or they contradict each other.
    """
    found: set[str] = set()
    for name in ("Repr-Digest", "Content-Digest"):
        value = headers.get(name, "")
        if "sha-256" not in value.lower():
            continue
        match = _DIGEST.search(value)
        digest = _decoded(match[1]) if match else b""
        if len(digest) != 32:  # noqa: PLR2004 - bytes of a sha256
            raise fault(
                "invalid_digest",
                f"header {name}: found {value[:80]!r}; expected sha-256=:<base64>:",
                parameter=name,
            )
        found.add(digest.hex())
    if len(found) > 1:
        raise fault(
            "invalid_digest",
            "found one sha-256 in Repr-Digest and another in Content-Digest; expected the same,"
            " since bodies are not encoded",
            parameter="Repr-Digest",
        )
    return next(iter(found), None)


def announced_name(headers: Headers, name: str | None, parameter: str = "name") -> str:
    """Return what a file is to be called: the parameter, or else `Content-Disposition`.

    Raises:
        PayloadProblem: neither is there, or it is no plain name.
    """
    if name is None:
        match = _FILENAME.search(headers.get("content-disposition", ""))
        name = (match[1] or match[2]) if match else None
    if name is None:
        raise fault(
            "name_missing",
            "found no name; expected ?name=train.npz, or Content-Disposition with a filename",
            parameter=parameter,
        )
    if not NAME.fullmatch(name):
        raise fault(
            "invalid_name",
            f"found the name {name[:80]!r}; expected letters, digits and ._- only, 128 at most,"
            " a letter or digit first",
            parameter=parameter,
        )
    return name


def is_form(headers: Headers) -> bool:
    """Tell whether the file comes inside a form."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


def require_plain_body(headers: Headers, *, may_be_form: bool = False) -> None:
    """Refuse bodies that are wrapped: the file itself is wanted.

    Raises:
        Problem: 415.
    """
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Problem(
            415,
            "unsupported_encoding",
            f"found Content-Encoding {encoding[:40]!r}; expected a body that is not compressed",
        )
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("multipart/") and not (may_be_form and kind == FORM):
        raise Problem(
            415,
            "unsupported_media_type",
            f"found Content-Type {kind[:40]!r}; expected the bytes themselves as the body",
            hint="with curl: -T FILE instead of -F",
            headers={"Accept-Post": "application/octet-stream"},
        )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
