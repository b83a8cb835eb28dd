"""Server-sent events, read as WHATWG writes them, out of bytes as they come."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from stillhouse.bodies import EventBody

# Only these end a line: `str.splitlines` also cuts at U+2028, which JSON may hold in a string.
_LINE_END = re.compile(rb"\r\n|\r|\n")


@dataclass
class Frame:
    """One dispatched server-sent event."""

    event: str
    data: str
    id: str | None


class Frames:
    """The events of one stream; one that is cut off before its blank line is not an event."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._pending = b""
        self._clear()

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Take bytes in, and yield the events that they complete."""
        for line in self._lines(chunk):
            if not line:
                if self._data:
                    yield Frame(self._event, "\n".join(self._data), self._id)
                self._clear()
                continue
            name, _, value = line.decode("utf-8", "replace").partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
            elif name == "event":
                self._event = value
            elif name == "id":
                self._id = value

    def _clear(self) -> None:
        self._event, self._id, self._data = "message", None, list[str]()

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the lines that are complete, without their ends."""
        pending = self._pending + chunk
        # A CR at the very end may be the first half of a CRLF: wait for what follows.
        whole = pending[:-1] if pending.endswith(b"\r") else pending
        *complete, rest = _LINE_END.split(whole)
        self._pending = rest + pending[len(whole) :]
        yield from complete


def body_of(frame: Frame) -> EventBody:
    """The line of a job's story that a frame brings."""
    parsed: object = json.loads(frame.data)
    values = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {"data": parsed}
    if "data" not in values:
        values = {"data": values}
    number = int(frame.id) if frame.id and frame.id.isdecimal() else None
    return cast("EventBody", {**values, "seq": number, "type": frame.event})
