"""Open pages of jobs: drawn once for each change, and shown to all who look.

Drawing takes milliseconds and sending microseconds, so it is not each listener that has its page
drawn: it is a cursor into the last few frames, and whoever falls behind is shown everything anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import Gauge

from api.sharing import Shared
from api.streams import PING_SECONDS, Watchtower, frame
from jobs.errors import JobNotFound

log = logging.getLogger(__name__)

DRAW_SECONDS: Final = 1.0
"""From one drawing of a job to the next, at least."""
REDRAW_SECONDS: Final = 5.0
"""At most: what a job waits for may change while the job itself does not."""
_AFTER_ERROR_SECONDS: Final = 2.0
_FRAMES: Final = 16
_END: Final = frame("end", "{}")


@dataclass(frozen=True, slots=True)
class Drawing:
    """What one drawing has brought."""

    parts: Mapping[str, str]
    """Markup, by the id of its element."""
    news: str
    """JSON of what was measured since the drawing before; empty where that is nothing."""
    place: str
    """The same JSON without a point in it: how far everything is told, for whoever comes now."""


Draw = Callable[[], Drawing]
"""Draws a job, in a thread. Raises JobNotFound."""


class Screen:
    """One job's page, as last drawn."""

    def __init__(self, draw: Draw, first: Drawing) -> None:
        """Show a first drawing."""
        self.draw = draw
        self.changed = asyncio.Event()
        self.is_over = False
        self.shown = 0
        """How many frames there were."""
        self._now = first
        self._frames: deque[bytes] = deque(maxlen=_FRAMES)

    def show(self, drawing: Drawing) -> None:
        """Show what is new in a drawing."""
        before = self._now.parts
        changed = {name: part for name, part in drawing.parts.items() if part != before[name]}
        self._now = drawing
        news = frame("points", drawing.news) if drawing.news else b""
        if changed:
            news += _parts(changed)
        if news:
            self.shown += 1
            self._frames.append(news)
            self._wake()

    def end(self) -> None:
        """Show nothing more."""
        self.is_over = True
        self._wake()

    def whole(self) -> bytes:
        """Return everything, as a frame."""
        return _parts(self._now.parts) + frame("points", self._now.place)

    def since(self, seen: int) -> bytes:
        """Return what is new to whoever has seen so many frames."""
        missing = self.shown - seen
        if missing > len(self._frames):
            return self.whole()
        return b"".join(list(self._frames)[len(self._frames) - missing :])

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Screens:
    """All open pages of one app."""

    def __init__(self, tower: Watchtower, streams: Gauge) -> None:
        """Draw when `tower` sees a change, in its threads."""
        self._tower = tower
        self._streams = streams
        self._screens = Shared[str, Screen](self._redraw)

    async def stream(
        self, job_id: str, draw: Draw, is_welcome: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[bytes]:
        """Yield a job's page as server-sent events: everything, and then whatever changes."""

        async def first() -> Screen:
            return Screen(draw, await self._tower.in_thread(draw))

        with self._streams.track_inprogress():
            async with self._screens.use(job_id, first) as screen:
                seen = screen.shown
                yield b"retry: 3000\n\n" + screen.whole()
                while not self._tower.closing and await is_welcome():
                    changed = screen.changed
                    if seen < screen.shown:
                        news = screen.since(seen)
                        seen = screen.shown
                        yield news
                    elif screen.is_over:
                        yield _END
                        return
                    else:
                        try:
                            await asyncio.wait_for(changed.wait(), PING_SECONDS)
                        except TimeoutError:
                            yield b": ping\n\n"

    async def _redraw(self, job_id: str, screen: Screen) -> None:
        with contextlib.suppress(JobNotFound):
            async with self._tower.watch(job_id) as feed:
                is_last = False
                while not (is_last or self._tower.closing):
                    changed, is_last = feed.changed, feed.complete
                    began = asyncio.get_running_loop().time()
                    try:
                        screen.show(await self._tower.in_thread(screen.draw))
                    except JobNotFound:
                        break
                    except Exception:
                        # The database is away: the pages outlive it.
                        log.warning("cannot draw job %s for who looks", job_id, exc_info=True)
                        is_last = False
                        await asyncio.sleep(_AFTER_ERROR_SECONDS)
                        continue
                    if not is_last:
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(changed.wait(), REDRAW_SECONDS)
                        passed = asyncio.get_running_loop().time() - began
                        await asyncio.sleep(max(0.0, DRAW_SECONDS - passed))
        screen.end()


def _parts(parts: Mapping[str, str]) -> bytes:
    return frame("parts", json.dumps(parts, ensure_ascii=False))
