"""The sweeper: frees the jobs of workers that died, rings lost bells, goes on with sweeps.

A lease counts as dead when this sweeper itself saw it unchanged for a whole lease time, on its own
monotonic clock and without a gap. After an outage of the database all leases look expired; the
workers behind them are well, and get the time to beat again.
"""

import logging
import random
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from jobs.database import Database
from jobs.ids import new_process_id
from jobs.queue import Bell
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.sweeping import BELL_SECONDS, Lease

log = logging.getLogger(__name__)


class Sweeper:
    """Any number of them may run; what one does, the others find done."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        bell: Bell,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start without having seen any lease; `clock` counts seconds and never steps."""
        self._settings = settings
        self._database = database
        self._bell = bell
        self._clock = clock
        self._name = new_process_id()
        self._seen: dict[Lease, float] = {}
        self._last_contact = clock()

    def run(self, stop: threading.Event) -> None:
        """Sweep every few seconds until told to stop."""
        while not stop.is_set():
            try:
                self.sweep()
            except SQLAlchemyError as error:
                log.warning("could not sweep: %s", type(error).__name__)
            except Exception:
                # A sweeper that is gone would be noticed only when jobs are stuck.
                log.exception("could not sweep")
            # Not all at the same moment.
            stop.wait(self._settings.sweep_seconds * random.uniform(0.8, 1.2))  # noqa: S311

    def sweep(self) -> None:
        """Look once at all leases and at all jobs that wait.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; the leases are seen anew after it.
        """
        with self._database.read() as session:
            leases = Repository(session).leases()
        now = self._clock()
        if now - self._last_contact > self._longest_gap():
            self._seen.clear()
        self._last_contact = now
        self._seen = {lease: self._seen.get(lease, now) for lease in leases}
        for lease, since in list(self._seen.items()):
            if now - since >= self._settings.lease_seconds:
                self._free(lease)
        self._ring()
        self._go_on_with_sweeps()
        with self._database.write() as session:
            repository = Repository(session)
            lost = repository.expire_inspections()
            repository.note_sweep(self._name)
        for inspection_id in lost:
            log.warning("the worker of %s was lost", inspection_id)

    def _longest_gap(self) -> float:
        # Longer than this without a look, and workers may have been cut off as well.
        return max(self._settings.lease_seconds / 2, 3 * self._settings.sweep_seconds)

    def _free(self, lease: Lease) -> None:
        settings = self._settings
        with self._database.write() as session:
            status = Repository(session).expire(
                lease, retry_seconds=settings.retry_seconds, lease_seconds=settings.lease_seconds
            )
        del self._seen[lease]
        if status is not None:
            log.warning("attempt %d of %s was lost: now %s", lease.token, lease.job_id, status)

    def _ring(self) -> None:
        if not self._settings.rings:
            return
        with self._database.write() as session:
            due = Repository(session).bells_due()
            waiting = Repository(session).waiting_inspection(BELL_SECONDS)
        for job_id in [*due, *([waiting] if waiting else [])]:
            if not self._bell.ring(job_id):
                break

    def _go_on_with_sweeps(self) -> None:
        with self._database.read() as session:
            running = Repository(session).running_sweeps()
        for sweep_id in running:
            with self._database.write() as session:
                begun = Repository(session).advance_sweep(sweep_id)
            for job_id in begun:
                self._bell.ring(job_id)


class SweeperThread:
    """A sweeper at work in a thread of its own."""

    def __init__(self, settings: Settings, database: Database, bell: Bell) -> None:
        """Begin at once."""
        self._stop = threading.Event()
        sweeper = Sweeper(settings, database, bell)
        self._thread = threading.Thread(
            target=sweeper.run, args=(self._stop,), name="sweeper", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Let it finish what it is at, and end."""
        self._stop.set()
        # A database that never answers must not hold up the end of the process.
        self._thread.join(5.0)
