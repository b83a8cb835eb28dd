"""How long a worker stays: for good, for so many jobs, or for as long as there is work.

What starts a worker for each job that waits (KEDA's ScaledJob, a batch system) wants it to end
after that job, and to end as well where another one was faster and nothing is left.
"""

import logging
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from jobs.settings import Settings

log = logging.getLogger(__name__)


class Stay:
    """Counts the jobs that a worker takes, and the seconds in which it has nothing to do."""

    def __init__(self, settings: Settings) -> None:
        """Prepare a stay."""
        self._most_jobs = settings.worker_jobs
        self._idle_seconds = settings.worker_idle_seconds
        self._lock = threading.Lock()
        self._taken = 0
        self._at_work = 0
        self._idle_since: float | None = None

    def begin(self) -> None:
        """Begin to look for work: what came before, such as loading libraries, was no idling."""
        with self._lock:
            self._idle_since = time.monotonic()

    def take_job(self) -> None:
        """Count a job that was claimed."""
        self._taken += 1

    @contextmanager
    def at_work(self) -> Generator[None]:
        """Have something to do: a job, or an inspection."""
        with self._lock:
            self._at_work += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                self._idle_since = time.monotonic()

    def is_over(self) -> bool:
        """Tell whether to take no more jobs; what runs is finished all the same."""
        if self._most_jobs is not None and self._taken >= self._most_jobs:
            log.info("has taken as many jobs as it may: %d", self._taken)
            return True
        if self.idle_seconds_left() > 0:
            return False
        log.info("had nothing to do for %g s", self._idle_seconds)
        return True

    def idle_seconds_left(self) -> float:
        """Return how long the worker stays yet where nothing comes."""
        if self._idle_seconds is None:
            return float("inf")
        with self._lock:
            if self._at_work or self._idle_since is None:
                return self._idle_seconds
            return self._idle_since + self._idle_seconds - time.monotonic()
