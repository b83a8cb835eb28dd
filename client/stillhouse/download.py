# Made of aio/download.py by scripts/unasync.py: change that one.
"""Files that arrive whole or not at all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx

from stillhouse.bodies import Artifact
from stillhouse.errors import DigestMismatch, StillhouseError, Unreachable, api_error
from stillhouse.gathering import Gathering, Received
from stillhouse.patience import RETRIED_STATUS, retry_after_seconds, said
from stillhouse.transport import Transport


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
        file, expected = Gathering(self.artifact, self.folder), self.artifact["sha256"]
        if file.is_there():
            return file.target
        file.prepare()
        resumed = file.here() > 0
        self._fill(file, received)
        found = file.digest()
        if found != expected and resumed:
            file.discard()
            self._fill(file, received)
            found = file.digest()
        if found != expected:
            file.discard()
            raise DigestMismatch(self.artifact["name"], expected, found)
        return file.settle()

    def _fill(self, file: Gathering, received: Received | None) -> None:
        size = self.artifact["size_bytes"]
        patience = self.transport.patience()
        while True:
            before = file.here()
            if size and before >= size:
                return
            problem, wait = self._pour(file, before, received)
            if problem is None:
                return
            if file.here() > before:
                patience.progress()
            delay = patience.delay(wait)
            if delay is None:
                raise problem
            time.sleep(delay)

    def _pour(
        self, file: Gathering, start: int, received: Received | None
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
                    return self._pour_from_elsewhere(response, file, start, received)
                if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                    file.discard()
                    return Unreachable(self.transport.url, "the server refused the range"), 0.0
                if not response.is_success:
                    response.read()
                    problem = api_error(response)
                    if response.status_code not in RETRIED_STATUS:
                        raise problem
                    return problem, retry_after_seconds(response)
                appending = response.status_code == HTTPStatus.PARTIAL_CONTENT
                self._write(file, response, start if appending else 0, received)
            finally:
                response.close()
        except httpx.TransportError as error:
            return Unreachable(self.transport.url, said(error)), 0.0
        return None, 0.0

    def _pour_from_elsewhere(
        self, answer: httpx.Response, file: Gathering, start: int, received: Received | None
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
            self._write(file, response, start if appending else 0, received)
        return None, 0.0

    def _write(
        self, file: Gathering, response: httpx.Response, start: int, received: Received | None
    ) -> None:
        here, whole = start, self.artifact["size_bytes"]
        with file.writing(start) as into:
            # As they come: pieces gathered to a size would be lost with the connection.
            for chunk in response.iter_raw():
                into.write(chunk)
                here += len(chunk)
                if received is not None:
                    received(here, whole)
