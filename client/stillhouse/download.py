"""Files that arrive whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx

from stillhouse.bodies import Artifact
from stillhouse.errors import DigestMismatch, StillhouseError, Unreachable, api_error
from stillhouse.transport import RETRIED_STATUS, Transport, retry_after_seconds, said

# A name from the network becomes a path here: nothing that could leave the folder may pass.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

Received = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes there will be."""


@dataclass(frozen=True)
class Fetch:
    """One file on its way: what the server lists, and where it goes."""

    transport: Transport
    path: str
    artifact: Artifact
    folder: Path

    def run(self, received: Received | None = None) -> Path:
        """Bring the file, resuming what an earlier try left, and return its path.

        The bytes gather in a `.part` file beside the target, which gets its name in one rename
        after its sha256 was found right. A file that is there and right is not fetched again.

        Raises:
            DigestMismatch: also a second, whole download is not what the server lists.
            Unreachable: the server stayed away longer than the client's patience.
            ApiError: the server refused.
        """
        name, expected = self.artifact["name"], self.artifact["sha256"]
        if not _PLAIN_NAME.fullmatch(name):
            raise StillhouseError(f"the server lists a file named {name!r}, which is no plain name")
        target = self.folder / name
        if target.is_file() and sha256_of(target) == expected:
            return target
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StillhouseError(f"the folder cannot be written: {error}") from error
        # The digest is in the name: a part of another version is never continued.
        part = self.folder / f"{name}.{expected[:12]}.part"
        resumed = part.exists() and part.stat().st_size > 0
        self._fill(part, received)
        found = sha256_of(part)
        if found != expected and resumed:
            part.unlink()
            self._fill(part, received)
            found = sha256_of(part)
        if found != expected:
            part.unlink()
            raise DigestMismatch(name, expected, found)
        os.replace(part, target)  # noqa: PTH105 - atomic, and over an older file
        return target

    def _fill(self, part: Path, received: Received | None) -> None:
        size = self.artifact["size_bytes"]
        patience = self.transport.patience()
        while True:
            before = part.stat().st_size if part.exists() else 0
            if size and before >= size:
                return
            problem, wait = self._pour(part, before, received)
            if problem is None:
                return
            if part.exists() and part.stat().st_size > before:
                patience.progress()
            if not patience.sleep(wait):
                raise problem

    def _pour(
        self, part: Path, start: int, received: Received | None
    ) -> tuple[StillhouseError | None, float]:
        """One request from byte `start` on: what went wrong, and how long to wait before more."""
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            headers["If-Range"] = f'"{self.artifact["sha256"]}"'
        try:
            response = self.transport.open("GET", self.path, headers=headers)
            try:
                if response.status_code == HTTPStatus.TEMPORARY_REDIRECT:
                    return self._pour_from_elsewhere(response, part, start, received)
                if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    part.unlink()
                    return Unreachable(self.transport.url, "the server refused the range"), 0.0
                if not response.is_success:
                    response.read()
                    problem = api_error(response)
                    if response.status_code not in RETRIED_STATUS:
                        raise problem
                    return problem, retry_after_seconds(response)
                appending = response.status_code == HTTPStatus.PARTIAL_CONTENT
                self._write(part, response, start if appending else 0, received)
            finally:
                response.close()
        except httpx.TransportError as error:
            return Unreachable(self.transport.url, said(error)), 0.0
        return None, 0.0

    def _pour_from_elsewhere(
        self, answer: httpx.Response, part: Path, start: int, received: Received | None
    ) -> tuple[StillhouseError | None, float]:
        """The same from the bucket that the server names, which knows neither our key nor tags."""
        headers = {"Accept-Encoding": "identity"}
        if start:
            # The digest at the end tells whether the parts are of one file.
            headers["Range"] = f"bytes={start}-"
        with self.transport.open_elsewhere(answer, headers=headers) as response:
            if not response.is_success:
                # Its address was too old, or the bucket is not well: the server gives another one.
                place = f"{response.url.scheme}://{response.url.host}"
                return Unreachable(place, f"the bucket answers {response.status_code}"), 0.0
            appending = response.status_code == HTTPStatus.PARTIAL_CONTENT
            self._write(part, response, start if appending else 0, received)
        return None, 0.0

    def _write(
        self, part: Path, response: httpx.Response, start: int, received: Received | None
    ) -> None:
        here, whole = start, self.artifact["size_bytes"]
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            # As they come: pieces gathered to a size would be lost with the connection.
            for chunk in response.iter_raw():
                file.write(chunk)
                here += len(chunk)
                if received is not None:
                    received(here, whole)


def sha256_of(path: Path) -> str:
    """The file's sha256 as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
