"""Files on their way to the server, in parts: a cut connection costs a part."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any, TypedDict, cast

from stillhouse.aio.transport import AsyncTransport
from stillhouse.errors import ApiError
from stillhouse.gathering import Outgoing, Received

_ROUNDS = 3
"""How often parts that the server has lost are sent again."""
_COMPLETE_SECONDS = 900.0
"""The server reads the whole file once before it says that it is complete."""


class _Part(TypedDict):
    number: int


class _Upload(TypedDict):
    id: str
    size_bytes: int
    part_bytes: int
    parts: int
    received: list[_Part]


class AsyncSending:
    """One file that is to become a dataset or a model."""

    def __init__(
        self, transport: AsyncTransport, kind: str, file: Outgoing, name: str | None
    ) -> None:
        """Take a file, and the name that it shall have there."""
        self._transport = transport
        self._kind = kind
        self._file = file
        self._name = name or file.name

    async def run(self, received: Received | None) -> Any:
        """Send what is not there yet, and return what became of it; see `Inputs.upload`."""
        for left in reversed(range(_ROUNDS)):
            upload = await self._begin()
            await self._send(upload, received)
            try:
                return await self._ask("POST", f"/v1/uploads/{upload['id']}/complete")
            except ApiError as error:
                if error.status != HTTPStatus.CONFLICT or not left:
                    raise
        raise AssertionError

    async def _begin(self) -> _Upload:
        # Asked again it answers with the same upload, and says what has arrived of it.
        wanted = {
            "kind": self._kind,
            "name": self._name,
            "size_bytes": self._file.size,
            "sha256": self._file.sha256,
        }
        content = json.dumps(wanted).encode()
        return cast("_Upload", await self._ask("POST", "/v1/uploads", content))

    async def _send(self, upload: _Upload, received: Received | None) -> None:
        there = {part["number"] for part in upload["received"]}
        size, whole = upload["part_bytes"], self._file.size
        spans = [
            (number, first, min(size, whole - first))
            for number, first in enumerate(range(0, whole, size), start=1)
        ]
        here = sum(length for number, _, length in spans if number in there)
        if received is not None:
            received(here, whole)
        for number, first, length in spans:
            if number in there:
                continue
            part, digest = await asyncio.to_thread(self._file.part, first, length)
            await self._put(upload, number, part, digest)
            here += length
            if received is not None:
                received(here, whole)

    async def _put(self, upload: _Upload, number: int, part: bytes, digest: str) -> None:
        await self._transport.request(
            "PUT",
            f"/v1/uploads/{upload['id']}/parts/{number}",
            headers={"Content-Type": "application/octet-stream", "Content-Digest": digest},
            content=part,
            repeatable=True,
        )

    async def _ask(self, method: str, path: str, content: bytes | None = None) -> Any:
        response = await self._transport.request(
            method,
            path,
            headers={"Content-Type": "application/json"} if content is not None else None,
            content=content,
            read_timeout_seconds=_COMPLETE_SECONDS,
            repeatable=True,
        )
        return response.json()
