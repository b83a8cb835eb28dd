"""A bare server of server-sent events: the same bytes for everybody, once in an interval.

python -m benchmarks.stand.bare_stream PORT BYTES SECONDS
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route


def bare(size: int, seconds: float) -> Starlette:
    """Return an app that does nothing but send."""
    content = b"event: parts\ndata: " + b"x" * size + b"\n\n"
    beat = asyncio.Event()

    async def beating() -> None:
        nonlocal beat
        while True:
            await asyncio.sleep(seconds)
            beat.set()
            beat = asyncio.Event()

    async def events() -> AsyncGenerator[bytes]:
        while True:
            yield content
            await beat.wait()

    def stream(_: Request) -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        task = asyncio.create_task(beating())
        yield
        task.cancel()

    return Starlette(routes=[Route("/", stream)], lifespan=lifespan)


if __name__ == "__main__":
    port, size, seconds = sys.argv[1:]
    uvicorn.run(bare(int(size), float(seconds)), port=int(port), log_level="warning")
