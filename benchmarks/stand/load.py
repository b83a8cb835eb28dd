"""Load on a loopback address: some connections, each with one request under way, for some time."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

_HEAD_END = b"\r\n\r\n"


@dataclass
class Window:
    """What was answered in one stretch of time."""

    requests: int
    seconds: float
    cpu_seconds: float
    """Of the server's process."""
    milliseconds: list[float] = field(default_factory=list[float])
    """Of each request, sorted."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """The server's CPU time for each request."""
        return 1e6 * self.cpu_seconds / max(self.requests, 1)

    def percentile(self, share: float) -> float:
        """Milliseconds that this share of the requests stays below."""
        return self.milliseconds[min(int(share * self.requests), self.requests - 1)]


def _length(head: bytes) -> int:
    lower = head.lower()
    place = lower.index(b"content-length:") + 15
    return int(lower[place : lower.index(b"\r", place)])


class _Connection:
    """A connection and the answer that is coming in on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.since = 0.0

    def ask(self, request: bytes) -> None:
        self.since = time.perf_counter()
        self.socket.sendall(request)

    def answered(self, status: bytes) -> bool:
        self.buffer += self.socket.recv(65_536)
        end = self.buffer.find(_HEAD_END)
        if end < 0 or len(self.buffer) < end + 4 + _length(self.buffer[: end + 2]):
            return False
        if self.buffer[9:12] != status:
            raise SystemExit(f"found the answer {self.buffer[:2000]!r}; expected {status!r}")
        self.buffer = b""
        return True


def load(  # noqa: PLR0913  # by name
    port: int,
    pid: int,
    request: Callable[[], bytes],
    *,
    seconds: float,
    connections: int,
    status: int,
) -> Window:
    """Send requests for so long, and return what came back; another status ends it all."""
    expected = str(status).encode()
    server = psutil.Process(pid)
    open_ones = [_Connection(port) for _ in range(connections)]
    times: list[float] = []
    with selectors.DefaultSelector() as selector:
        for one in open_ones:
            selector.register(one.socket, selectors.EVENT_READ, one)
        before = server.cpu_times()
        start = time.perf_counter()
        for one in open_ones:
            one.ask(request())
        while (now := time.perf_counter()) - start < seconds:
            for key, _ in selector.select(1.0):
                one: _Connection = key.data
                if one.answered(expected):
                    times.append(1000 * (time.perf_counter() - one.since))
                    one.ask(request())
        took = now - start
        after = server.cpu_times()
    for one in open_ones:
        one.socket.close()
    cpu = after.user + after.system - before.user - before.system
    return Window(len(times), took, cpu, sorted(times))
