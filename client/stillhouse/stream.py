# Made of aio/stream.py by scripts/unasync.py: change that one.
"""A job's events, in a stream that survives its connection."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from stillhouse.bodies import EventBody
from stillhouse.errors import StillhouseError, Unreachable, api_error
from stillhouse.patience import RETRIED_STATUS, retry_after_seconds, said
from stillhouse.sse import Frames, body_of
from stillhouse.transport import Transport

_CONNECT_SECONDS = 10.0
# The server sends a comment every 15 s: three of them missing is a dead connection.
_SILENCE_SECONDS = 45.0


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

    def events(self) -> Generator[EventBody]:
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
                with closing(self._connection()) as bodies:
                    yield from bodies
                problem = Unreachable(self.transport.url, "the event stream broke off")
            except httpx.TransportError as error:
                problem = Unreachable(self.transport.url, said(error))
            if self.done or self.late:
                return
            if self.heard:
                # Patience counts from when the trouble began, not from when reading began.
                patience.progress()
            delay = patience.delay(self.asked_to_wait)
            if delay is None:
                raise problem
            time.sleep(delay)

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self.until is not None and time.monotonic() >= self.until

    def _connection(self) -> Generator[EventBody]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.last:
            headers["Last-Event-ID"] = str(self.last)
        silence = _SILENCE_SECONDS
        if self.until is not None:
            silence = min(silence, max(0.05, self.until - time.monotonic()))
        within = httpx.Timeout(_CONNECT_SECONDS, read=silence)
        response = self.transport.open("GET", self.path, headers=headers, within=within)
        try:
            if response.status_code == HTTPStatus.NO_CONTENT:
                self.done = True
            elif response.is_success:
                with closing(self._bodies(response)) as bodies:
                    yield from bodies
            else:
                response.read()
                if response.status_code not in RETRIED_STATUS:
                    raise api_error(response)
                self.asked_to_wait = retry_after_seconds(response)
        finally:
            response.close()

    def _bodies(self, response: httpx.Response) -> Generator[EventBody]:
        frames = Frames()
        for chunk in response.iter_raw():
            self.heard = True
            for frame in frames.feed(chunk):
                if frame.event == "end":
                    self.done = True
                    return
                body = body_of(frame)
                if body["seq"] is not None:
                    if body["seq"] <= self.last:
                        continue
                    self.last = body["seq"]
                yield body
            if self.late:
                return
