"""Datasets and models that were uploaded, as calls; what a spec names by `reference`."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Literal, TypedDict, cast
from urllib.parse import quote

from stillhouse.download import Received
from stillhouse.sending import Sending
from stillhouse.transport import Transport

InputKind = Literal["dataset", "model"]
_PAGE = 200


class Input(TypedDict):
    """A file that was uploaded."""

    id: str
    object: InputKind
    name: str
    size_bytes: int
    sha256: str
    media_type: str
    reference: str
    """What a spec writes where it takes a path: `dataset:ds_…` or `model:mdl_…`."""
    created_at: str
    created_by: str | None


class InputPage(TypedDict):
    """One page of them."""

    object: Literal["list"]
    data: list[Input]
    has_more: bool
    next_cursor: str | None


class Inputs:
    """The uploads of one kind: `Client.datasets` and `Client.models`."""

    def __init__(self, transport: Transport, kind: InputKind) -> None:
        """Speak over a client's connection."""
        self._transport = transport
        self._kind: InputKind = kind
        self._all = f"/v1/{kind}s"

    def upload(
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
        sending = Sending(self._transport, self._kind, Path(path), name)
        if known := self._find(sending.sha256):
            return known
        return cast("Input", sending.run(received))

    def page(self, *, after: str | None = None, limit: int = 50) -> InputPage:
        """One page, the newest first; hand `next_cursor` back as `after` for the next."""
        wanted: dict[str, str | int] = {"limit": limit}
        if after is not None:
            wanted["after"] = after
        return cast("InputPage", self._transport.request("GET", self._all, params=wanted).json())

    def list(self) -> builtins.list[Input]:
        """All of them, the newest first."""
        page = self.page(limit=_PAGE)
        found = page["data"]
        while page["next_cursor"]:
            page = self.page(after=page["next_cursor"], limit=_PAGE)
            found += page["data"]
        return found

    def get(self, input_id: str) -> Input:
        """One of them, by its id or its reference."""
        return cast("Input", self._transport.request("GET", self._one(input_id)).json())

    def delete(self, input_id: str) -> None:
        """Delete one, by its id or its reference.

        Raises:
            ApiError: a job that has not ended needs it (409).
        """
        self._transport.request("DELETE", self._one(input_id))

    def _find(self, sha256: str) -> Input | None:
        wanted = {"sha256": sha256, "limit": 1}
        page = self._transport.request("GET", self._all, params=wanted).json()
        return next(iter(cast("InputPage", page)["data"]), None)

    def _one(self, input_id: str) -> str:
        return f"{self._all}/{quote(input_id.removeprefix(f'{self._kind}:'), safe='')}"
