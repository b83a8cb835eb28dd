"""A deadline for every call to PostgreSQL: behind a link that swallows packets it would never end.

Neither keepalives nor the server's own timeouts help where something in between still answers for
the server. So one thread looks at the calls that are under way, and shuts the socket of one that
takes too long: the call fails at once, like any broken connection, and the next one connects anew.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

LOOKS_PER_DEADLINE = 4


class Watchdog:
    """Shuts the sockets of calls that take longer than they may."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Allow each call so many seconds; `clock` never steps."""
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        # By thread, since a thread waits for one call at a time.
        self._calls: dict[int, tuple[float, int]] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def watch(self, descriptor: int) -> Generator[None]:
        """Watch over one call of this thread, which waits for an answer at this socket."""
        me = threading.get_ident()
        with self._lock:
            self._calls[me] = self._clock() + self._seconds, descriptor
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._calls[me]

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds / LOOKS_PER_DEADLINE):
            # Locked, so that no call can end and have its descriptor given to another socket.
            with self._lock:
                now = self._clock()
                for until, descriptor in self._calls.values():
                    if now > until:
                        _shut(descriptor)


def _shut(descriptor: int) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connection:
        # The connection under the descriptor, which stays open until its owner closes it.
        connection.shutdown(socket.SHUT_RDWR)


def watched_connection(watchdog: Watchdog) -> Any:
    """Return psycopg's connection class, whose every wait for the server is watched over."""
    from psycopg import Connection

    class Watched(Connection[Any]):
        """All calls but the connecting one, which has a timeout of its own, wait here."""

        def wait(self, *arguments: Any, **options: Any) -> Any:
            with watchdog.watch(self.pgconn.socket):
                return super().wait(*arguments, **options)

    return Watched
