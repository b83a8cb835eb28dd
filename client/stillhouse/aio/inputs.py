"""Datasets and models that were uploaded, as calls; what a spec names by `reference`."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from stillhouse.aio.inspections import inspected
from stillhouse.aio.sending import AsyncSending
from stillhouse.aio.transport import AsyncTransport
from stillhouse.gathering import Outgoing, Received
from stillhouse.input_bodies import Input, InputKind, InputPage
from stillhouse.inspection_bodies import Inspection

_PAGE = 200


class AsyncInputs:
    """The uploads of one kind: `Client.datasets` and `Client.models`."""

    def __init__(self, transport: AsyncTransport, kind: InputKind) -> None:
        """Speak over a client's connection."""
        self._transport = transport
        self._kind: InputKind = kind
        self._all = f"/v1/{kind}s"

    async def upload(
        self, path: Path | str, *, name: str | None = None, received: Received | None = None
    ) -> Input:
        """Upload a file in parts, and return what it is known as.

        A part whose connection was cut is sent again; another call with the same file goes on where
        the first one stopped, and what is there already is not sent at all. `received(here, whole)`
        is told the bytes that have arrived.

        Raises:
            ApiError: the server refused: a format that is not taken, other content than the name
                says, too many bytes.
            Unreachable: the server stayed away longer than the client's patience.
            StillhouseError: the file cannot be read.
        """
        file = await asyncio.to_thread(Outgoing, Path(path))
        if known := await self._find(file.sha256):
            return known
        sending = AsyncSending(self._transport, self._kind, file, name)
        return cast("Input", await sending.run(received))

    async def page(self, *, after: str | None = None, limit: int = 50) -> InputPage:
        """One page, the newest first; hand `next_cursor` back as `after` for the next."""
        wanted = {"limit": limit, "after": after}
        return cast("InputPage", await self._transport.get(self._all, wanted))

    async def list(self) -> builtins.list[Input]:
        """All of them, the newest first."""
        page = await self.page(limit=_PAGE)
        found = page["data"]
        while page["next_cursor"]:
            page = await self.page(after=page["next_cursor"], limit=_PAGE)
            found += page["data"]
        return found

    async def get(self, input_id: str) -> Input:
        """One of them, by its id or its reference."""
        return cast("Input", await self._transport.get(self._one(input_id)))

    async def delete(self, input_id: str) -> None:
        """Delete one, by its id or its reference.

        Raises:
            ApiError: a job that has not ended needs it (409).
        """
        await self._transport.request("DELETE", self._one(input_id))

    async def report(
        self, input_id: str, options: Mapping[str, Any] | None = None, *, again: bool = False
    ) -> Inspection:
        """What a dataset is like, once a worker has walked over it.

        `options` are the `data` and the `task` of a spec. Without any, images of a zip are brought
        to 64 x 64, and a table is told by its columns.

        Raises:
            ApiError: there is none, or it cannot be read so.
            StillhouseError: no worker has looked for a long while.
        """
        path = f"{self._one(input_id)}/report"
        return await inspected(self._transport, "POST", path, body=options, again=again)

    async def page_of(self, inspection_id: str) -> str:
        """A report that is done, as one HTML page which loads nothing.

        Raises:
            ApiError: there is none.
        """
        path = f"/v1/inspections/{quote(inspection_id, safe='')}"
        return await self._transport.text(path, headers={"Accept": "text/html"})

    async def layers(self, input_id: str) -> Inspection:
        """Layers of a model by path, with shapes and parameters, once a worker has looked.

        Raises:
            ApiError: there is none.
            StillhouseError: no worker has looked for a long while.
        """
        return await inspected(self._transport, "GET", f"{self._one(input_id)}/layers")

    async def _find(self, sha256: str) -> Input | None:
        wanted = {"sha256": sha256, "limit": 1}
        page = await self._transport.get(self._all, wanted)
        return next(iter(cast("InputPage", page)["data"]), None)

    def _one(self, input_id: str) -> str:
        return f"{self._all}/{quote(input_id.removeprefix(f'{self._kind}:'), safe='')}"
