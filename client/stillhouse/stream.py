"""Server-sent events, read as WHATWG writes them, and a stream that survives its connection."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import httpx

from stillhouse.bodies import EventBody
from stillhouse.errors import StillhouseError, Unreachable, api_error
from stillhouse.transport import RETRIED_STATUS, Transport, retry_after_seconds, said

_CONNECT_SECONDS = 10.0
# The server sends a comment every 15 s: three of them missing is a dead connection.
_SILENCE_SECONDS = 45.0
# Only these end a line: `str.splitlines` also cuts at U+2028, which JSON may hold in a string.
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass
class Frame:
    """One dispatched server-sent event."""

    event: str
    data: str
    id: str | None


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The complete lines of a byte stream, without their ends."""
    pending = b""
    for chunk in chunks:
        pending += chunk
        # A CR at the very end may be the first half of a CRLF: wait for what follows.
        whole = pending[:-1] if pending.endswith(b"\r") else pending
        *complete, rest = _LINE_END.split(whole)
        pending = rest + pending[len(whole) :]
        yield from complete


def frames(chunks: Iterable[bytes]) -> Iterator[Frame]:
    """The events of a byte stream; one that is cut off before its blank line is not an event."""
    event, identity, data = "message", None, list[str]()
    for line in lines(chunks):
        if not line:
            if data:
                yield Frame(event, "\n".join(data), identity)
            event, identity, data = "message", None, []
            continue
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            event = value
        elif name == "id":
            identity = value


@dataclass
class Following:
    """One reader's place in a job's events."""

    transport: Transport
    path: str
    last: int
    until: float | None = None
    """Moment (monotonic) to stop at; noticed at the latest with the next comment."""
    done: bool = False
    heard: bool = False
    asked_to_wait: float = 0.0

    def __iter__(self) -> Iterator[EventBody]:
        """Yield events until the story is over, opening a cut connection again.

        `Last-Event-ID` brings the stream to where it broke; what comes twice is dropped by its
        number. Progress lines carry no number and come only while they are news.

        Raises:
            ApiError: the server refused, for example because there is no such job.
            Unreachable: the server stayed away longer than the client's patience.
        """
        patience = self.transport.patience()
        while True:
            problem: StillhouseError
            self.heard, self.asked_to_wait = False, 0.0
            try:
                yield from self._connection()
                problem = Unreachable(self.transport.url, "the event stream broke off")
            except httpx.TransportError as error:
                problem = Unreachable(self.transport.url, said(error))
            if self.done or self.late:
                return
            if self.heard:
                # Patience counts from when the trouble began, not from when reading began.
                patience.progress()
            if not patience.sleep(self.asked_to_wait):
                raise problem

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self.until is not None and time.monotonic() >= self.until

    def _connection(self) -> Iterator[EventBody]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.last:
            headers["Last-Event-ID"] = str(self.last)
        silence = _SILENCE_SECONDS
        if self.until is not None:
            silence = min(silence, max(0.05, self.until - time.monotonic()))
        timeout = httpx.Timeout(_CONNECT_SECONDS, read=silence)
        response = self.transport.open("GET", self.path, headers=headers, timeout=timeout)
        try:
            if response.status_code == HTTPStatus.NO_CONTENT:
                self.done = True
            elif response.is_success:
                yield from self._bodies(response)
            else:
                response.read()
                if response.status_code not in RETRIED_STATUS:
                    raise api_error(response)
                self.asked_to_wait = retry_after_seconds(response)
        finally:
            response.close()

    def _bodies(self, response: httpx.Response) -> Iterator[EventBody]:
        for frame in frames(self._heard(response.iter_raw())):
            if frame.event == "end":
                self.done = True
                return
            body = _body(frame)
            if body["seq"] is not None:
                if body["seq"] <= self.last:
                    continue
                self.last = body["seq"]
            yield body

    def _heard(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.heard = True
            yield chunk
            if self.late:
                return


def _body(frame: Frame) -> EventBody:
    parsed: object = json.loads(frame.data)
    values = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {"data": parsed}
    if "data" not in values:
        values = {"data": values}
    number = int(frame.id) if frame.id and frame.id.isdecimal() else None
    return cast("EventBody", {**values, "seq": number, "type": frame.event})
