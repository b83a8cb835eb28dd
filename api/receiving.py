"""A large body on its way into the store: block by block, whatever its length."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable
from typing import Final

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request

from api.checks import fault
from api.problems import Problem
from jobs.artifacts import CHUNK_BYTES, NAME
from jobs.receiving import Received, Reception

IDLE_SECONDS: Final = 60.0
"""How long a client may send nothing."""
BODY: Final = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}
"""OpenAPI's words for such a body."""

_MAX_DIGITS: Final = 19
_DIGEST: Final = re.compile(r"(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):", re.IGNORECASE)
_FILENAME: Final = re.compile(r'filename\s*=\s*(?:"([^"\\]*)"|([^\s;"]+))', re.IGNORECASE)


async def receive(
    request: Request, begin: Callable[[], Reception], media_type: str = "application/octet-stream"
) -> Received:
    """Take in the request's body and return what lies in the store; or leave nothing there.

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
        stream = request.stream()
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(stream, None)
            if chunk is None:
                break
            waiting += chunk
            if len(waiting) >= CHUNK_BYTES:
                await run_in_threadpool(reception.write, bytes(waiting))
                waiting.clear()
        if waiting:
            await run_in_threadpool(reception.write, bytes(waiting))
        return await run_in_threadpool(reception.finish, media_type)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await run_in_threadpool(reception.abandon)
        if isinstance(error, TimeoutError):
            raise Problem(
                408,
                "body_timeout",
                f"nothing came for {IDLE_SECONDS:.0f} s; nothing was kept",
                hint="send it again, or in parts: POST /v1/uploads",
                headers={"Connection": "close"},
            ) from None
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


def announced_name(headers: Headers, name: str | None) -> str:
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
            parameter="name",
        )
    if not NAME.fullmatch(name):
        raise fault(
            "invalid_name",
            f"found the name {name[:80]!r}; expected letters, digits and ._- only, 128 at most,"
            " a letter or digit first",
            parameter="name",
        )
    return name


def require_plain_body(headers: Headers) -> None:
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
    if kind.startswith("multipart/"):
        raise Problem(
            415,
            "unsupported_media_type",
            f"found Content-Type {kind[:40]!r}; expected the file itself as the body",
            hint="with curl: -X POST -T FILE instead of -F; in a browser: fetch(url, {method:"
            " 'POST', body: file})",
            headers={"Accept-Post": "application/octet-stream"},
        )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
