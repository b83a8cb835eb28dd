"""Rounds: a look every second at what is due, and threads that serve it, one for each key.

What is slow, or never answers, holds up its own thread alone, and no transaction. It is for what
speaks to servers of others: the messenger, the mirror.
"""

import logging
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

LOOK_SECONDS: Final = 1.0
"""How often it is looked for what is due."""

log = logging.getLogger(__name__)


class Rounds(ABC):
    """One loop that looks, and as many threads as it has begun."""

    def __init__(self, called: str) -> None:
        """Do nothing yet; `called` names threads and what goes wrong in them."""
        self._called = called
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._stop = threading.Event()
        self._left = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._loop: threading.Thread | None = None

    @abstractmethod
    def look(self) -> None:
        """Look for what is due, and `serve` it.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away.
        """

    def start(self) -> None:
        """Run in a thread, until it is closed."""
        self._loop = threading.Thread(target=self.run, name=f"{self._called}s", daemon=True)
        self._loop.start()

    def close(self) -> None:
        """Let it finish what it is at, for a moment, and end."""
        # A database or a server that never answers must not hold up the end of the process.
        self.stop(5.0)
        if self._loop is not None:
            self._loop.join(5.0)

    def run(self) -> None:
        """Look, and have it served, until told to stop."""
        while not self._stop.is_set():
            self._news.clear()
            self._guarded(self.look)
            self._news.wait(LOOK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311  # no secret

    def stop(self, seconds: float) -> None:
        """Begin nothing more, and wait so long for what is under way; the rest is left.

        What is left is due again once its claim counts as lost.
        """
        self._stop.set()
        self._news.set()
        until = time.monotonic() + seconds
        with self._lock:
            threads = [*self._threads.values()]
        for one in threads:
            one.join(max(until - time.monotonic(), 0.0))
        self._left.set()

    def _at_work(self) -> set[str]:
        """Return the keys that are served now; one is added by `look` alone."""
        with self._lock:
            return set(self._threads)

    def _serve(self, key: str, work: Callable[[], None]) -> None:
        """Have a thread do it; another look follows at once."""

        def served() -> None:
            self._guarded(work)
            with self._lock:
                del self._threads[key]
            self._news.set()

        thread = threading.Thread(target=served, name=self._called, daemon=True)
        with self._lock:
            self._threads[key] = thread
        thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SQLAlchemyError as error:
            log.warning("the %s could not: %s", self._called, type(error).__name__)
        except Exception:
            # One that is gone would be noticed only by those who hear nothing.
            log.exception("the %s could not", self._called)
