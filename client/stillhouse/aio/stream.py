"""A job's events, in a stream that survives its connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from stillhouse.aio.transport import AsyncTransport
from stillhouse.bodies import EventBody
from stillhouse.errors import StillhouseError, Unreachable, api_error
from stillhouse.patience import RETRIED_STATUS, retry_after_seconds, said
from stillhouse.sse import Frames, body_of

_CONNECT_SECONDS = 10.0
# The server sends a comment every 15 s: three of them missing is a dead connection.
_SILENCE_SECONDS = 45.0


@dataclass
class AsyncFollowing:
    """One reader's place in a job's events."""

    transport: AsyncTransport
    path: str
    last: int
    until: float | None = None
    """Moment (monotonic) to stop at; noticed at the latest with the next comment."""
    done: bool = False
    heard: bool = False
    asked_to_wait: float = 0.0

    async def events(self) -> AsyncGenerator[EventBody]:
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
                async with aclosing(self._connection()) as bodies:
                    async for body in bodies:
                        yield body
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
            await asyncio.sleep(delay)

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return self.until is not None and time.monotonic() >= self.until

    async def _connection(self) -> AsyncGenerator[EventBody]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self.last:
            headers["Last-Event-ID"] = str(self.last)
        silence = _SILENCE_SECONDS
        if self.until is not None:
            silence = min(silence, max(0.05, self.until - time.monotonic()))
        within = httpx.Timeout(_CONNECT_SECONDS, read=silence)
        response = await self.transport.open("GET", self.path, headers=headers, within=within)
        try:
            if response.status_code == HTTPStatus.NO_CONTENT:
                self.done = True
            elif response.is_success:
                async with aclosing(self._bodies(response)) as bodies:
                    async for body in bodies:
                        yield body
            else:
                await response.aread()
                if response.status_code not in RETRIED_STATUS:
                    raise api_error(response)
                self.asked_to_wait = retry_after_seconds(response)
        finally:
            await response.aclose()

    async def _bodies(self, response: httpx.Response) -> AsyncGenerator[EventBody]:
        frames = Frames()
        async for chunk in response.aiter_raw():
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
