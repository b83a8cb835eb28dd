"""Files on their way to the server, in parts: a cut connection costs a part."""

from __future__ import annotations

import base64
import hashlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypedDict, cast

from stillhouse.download import Received, sha256_of
from stillhouse.errors import ApiError, StillhouseError
from stillhouse.transport import Transport

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


class Sending:
    """One file that is to become a dataset or a model."""

    def __init__(self, transport: Transport, kind: str, path: Path, name: str | None) -> None:
        """Read the file once for its sha256.

        Raises:
            StillhouseError: it cannot be read.
        """
        self._transport = transport
        self._kind = kind
        self._path = path
        self._name = name or path.name
        try:
            self._size = path.stat().st_size
            self.sha256 = sha256_of(path)
        except OSError as error:
            raise StillhouseError(f"{path} cannot be read: {error.strerror or error}") from error

    def run(self, received: Received | None) -> Any:
        """Send what is not there yet, and return what became of it; see `Inputs.upload`."""
        for left in reversed(range(_ROUNDS)):
            upload = self._begin()
            self._send(upload, received)
            try:
                return self._ask("POST", f"/v1/uploads/{upload['id']}/complete")
            except ApiError as error:
                if error.status != HTTPStatus.CONFLICT or not left:
                    raise
        raise AssertionError

    def _begin(self) -> _Upload:
        # Asked again it answers with the same upload, and says what has arrived of it.
        wanted = {
            "kind": self._kind,
            "name": self._name,
            "size_bytes": self._size,
            "sha256": self.sha256,
        }
        return cast("_Upload", self._ask("POST", "/v1/uploads", json.dumps(wanted).encode()))

    def _send(self, upload: _Upload, received: Received | None) -> None:
        there = {part["number"] for part in upload["received"]}
        size = upload["part_bytes"]
        spans = [
            (number, first, min(size, self._size - first))
            for number, first in enumerate(range(0, self._size, size), start=1)
        ]
        here = sum(length for number, _, length in spans if number in there)
        if received is not None:
            received(here, self._size)
        try:
            with self._path.open("rb") as file:
                for number, first, length in spans:
                    if number in there:
                        continue
                    file.seek(first)
                    self._put(upload, number, file.read(length))
                    here += length
                    if received is not None:
                        received(here, self._size)
        except OSError as error:
            raise StillhouseError(f"{self._path} cannot be read: {error}") from error

    def _put(self, upload: _Upload, number: int, part: bytes) -> None:
        digest = base64.b64encode(hashlib.sha256(part).digest()).decode()
        self._transport.request(
            "PUT",
            f"/v1/uploads/{upload['id']}/parts/{number}",
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Digest": f"sha-256=:{digest}:",
            },
            content=part,
            repeatable=True,
        )

    def _ask(self, method: str, path: str, content: bytes | None = None) -> Any:
        return self._transport.request(
            method,
            path,
            headers={"Content-Type": "application/json"} if content is not None else None,
            content=content,
            read_timeout_seconds=_COMPLETE_SECONDS,
            repeatable=True,
        ).json()
