"""Streams of server-sent events, as a browser reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import httpx

STREAM: Final = {"Accept": "text/event-stream"}


def frames(response: httpx.Response) -> Iterator[dict[str, str]]:
    """Read a stream frame by frame, as a browser does; comments are left out."""
    frame: dict[str, str] = {}
    for line in response.iter_lines():
        if line.startswith(":"):
            continue
        if line:
            key, _, value = line.partition(": ")
            frame[key] = value
        elif frame:
            yield frame
            frame = {}
