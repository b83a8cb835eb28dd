"""Watching jobs: one poller for each watched job, any number of listeners, no queue for any.

A listener is a cursor. What it has not seen yet it takes from a short ring of encoded events, or,
where it fell behind, page by page from the ledger. A client that never reads costs a socket buffer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from prometheus_client import Gauge
from starlette.responses import StreamingResponse
from starlette.types import Send

from api.sharing import Shared
from jobs.errors import JobNotFound

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.25
PING_SECONDS: Final = 15.0
PAGE_EVENTS: Final = 200
_RING_EVENTS: Final = 512
_AFTER_ERROR_SECONDS: Final = 2.0
_THREADS: Final = 4
_Result = TypeVar("_Result")


def frame(kind: str, data: str) -> bytes:
    """Return one server-sent event; `data` is of one line, as JSON is."""
    return f"event: {kind}\ndata: {data}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Line:
    """One event, encoded for the stream."""

    seq: int
    encoded: bytes


@dataclass(frozen=True, slots=True)
class Look:
    """What one reading of the ledger found."""

    summary: bytes
    """Everything that a listener may wait for; equal bytes mean that nothing has changed."""
    progress: bytes
    """The `progress` event; empty where there is none."""
    end: bytes
    """The `end` event; empty while the job goes on."""
    last_seq: int
    lines: list[Line]
    """Events after the asked-for number, in order, at most a page of them."""


Reader = Callable[[str, int | None], Look]
"""Reads a job and its events after a number; None stands for the newest. Raises JobNotFound."""


class Feed:
    """One watched job, as last read."""

    def __init__(self, first: Look) -> None:
        """Start from a first reading; earlier events are read for whoever wants them."""
        self.look = first
        self.head = first.last_seq
        self.gone = False
        self.changed = asyncio.Event()
        self._ring: deque[Line] = deque(maxlen=_RING_EVENTS)

    @property
    def complete(self) -> bool:
        """Whether the job has ended and every one of its events was read."""
        return self.gone or (bool(self.look.end) and self.head >= self.look.last_seq)

    def take_in(self, look: Look) -> bool:
        """Keep what was read and wake the listeners if it is news; True where a page was full."""
        news = look.lines or look.summary != self.look.summary
        self.look = look
        self._ring.extend(look.lines)
        if look.lines:
            self.head = look.lines[-1].seq
        if news:
            self.wake()
        return len(look.lines) >= PAGE_EVENTS

    def wake(self) -> None:
        """Let every listener look again; each holds the event that it waits for."""
        self.changed.set()
        self.changed = asyncio.Event()

    def recent(self, after: int) -> list[Line] | None:
        """Return the events after a number; None where the ring does not reach back so far."""
        if not self._ring or self._ring[0].seq > after + 1:
            return None
        return [line for line in self._ring if line.seq > after][:PAGE_EVENTS]


class Watchtower:
    """All watched jobs of one app."""

    def __init__(self, read: Reader, streams: Gauge) -> None:
        """Read jobs with `read`, in threads of its own, so that slow requests cannot starve it."""
        self._read = read
        self._streams = streams
        self._feeds = Shared[str, Feed](self._poll)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="watch")
        self.closing = False

    def close(self) -> None:
        """End all streams, from the event loop; clients come back with their Last-Event-ID."""
        self.closing = True
        for feed in self._feeds:
            feed.wake()

    def shut_down(self) -> None:
        """Close, and let go of the threads."""
        self.close()
        self._feeds.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def in_thread(self, call: Callable[[], _Result]) -> _Result:
        """Return what a call returns that may wait for the ledger."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    @contextlib.asynccontextmanager
    async def watch(self, job_id: str) -> AsyncGenerator[Feed]:
        """Yield the feed of a job, read at least once.

        Raises:
            JobNotFound: there is no such job.
        """

        async def first() -> Feed:
            return Feed(await self.in_thread(lambda: self._read(job_id, None)))

        async with self._feeds.use(job_id, first) as feed:
            yield feed

    async def _poll(self, job_id: str, feed: Feed) -> None:
        wait = POLL_SECONDS
        while not self.closing:
            await asyncio.sleep(wait)
            try:
                look = await self.in_thread(lambda: self._read(job_id, feed.head))
            except JobNotFound:
                feed.gone = True
                feed.wake()
                return
            except Exception:
                # The database is away: the streams outlive it.
                log.warning("cannot read job %s for its listeners", job_id, exc_info=True)
                wait = _AFTER_ERROR_SECONDS
            else:
                wait = 0.0 if feed.take_in(look) else POLL_SECONDS

    async def changes(self, job_id: str, seconds: float) -> AsyncGenerator[None]:
        """Yield once at the start and then whenever the job changes, until the time is over."""
        deadline = asyncio.get_running_loop().time() + seconds
        async with self.watch(job_id) as feed:
            while not self.closing:
                changed = feed.changed
                yield
                left = deadline - asyncio.get_running_loop().time()
                try:
                    await asyncio.wait_for(changed.wait(), max(left, 0))
                except TimeoutError:
                    return

    async def stream(
        self, job_id: str, after: int, is_welcome: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes]:
        """Yield the server-sent events of a job after a number, until it or the server ends.

        Nothing more is told to a listener that has ceased to be welcome.
        """
        with self._streams.track_inprogress():
            async with self.watch(job_id) as feed:
                yield b"retry: 3000\n\n"
                cursor, told = after, b""
                while not self.closing and await is_welcome():
                    changed = feed.changed
                    if cursor < feed.head:
                        lines = feed.recent(cursor)
                        if lines is None:
                            position = cursor
                            look = await self.in_thread(lambda: self._read(job_id, position))  # noqa: B023
                            lines = look.lines
                        if lines:
                            cursor = lines[-1].seq
                            yield b"".join(line.encoded for line in lines)
                            continue
                    if feed.look.progress != told:
                        told = feed.look.progress
                        if told:
                            yield told
                    if feed.complete:
                        yield feed.look.end
                        return
                    try:
                        await asyncio.wait_for(changed.wait(), PING_SECONDS)
                    except TimeoutError:
                        yield b": ping\n\n"


class EventStream(StreamingResponse):
    """A `text/event-stream` answer whose source is closed the moment the client is gone."""

    media_type = "text/event-stream"

    def __init__(self, source: AsyncGenerator[bytes]) -> None:
        """Send what `source` yields, unbuffered by proxies."""
        super().__init__(source, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._source = source

    async def stream_response(self, send: Send) -> None:
        """Send until the source is empty or the task is cancelled, and always close the source."""
        async with contextlib.aclosing(self._source):
            await super().stream_response(send)
