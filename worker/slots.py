"""The slots of one worker: while one is free, look for a job; when one is claimed, run it.

It knows no Celery: a bell, from wherever, only makes it look at once instead of at its next poll.
"""

import logging
import threading
from collections.abc import Callable
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from jobs.database import Database
from jobs.ids import new_process_id
from jobs.leases import MANY_GPUS, Claim
from jobs.logs import bind
from jobs.repository import Repository
from jobs.settings import Settings
from worker.attempt import Supervisor
from worker.stay import Stay

AWAY_SECONDS = 2.0

log = logging.getLogger(__name__)


class Slots:
    """Claims jobs for as many attempts at a time as the settings allow."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        supervisor: Supervisor,
        start: Callable[[Callable[[], None]], object],
        stay: Stay,
    ) -> None:
        """Run attempts through `start`, which calls its argument in a thread of its own."""
        self.worker_id = new_process_id()
        self._settings = settings
        self._database = database
        self._supervisor = supervisor
        self._start = start
        self._stay = stay
        self._free = threading.Semaphore(settings.slots)
        self._bell = threading.Event()
        self._leaving = threading.Event()

    def ring(self) -> None:
        """Look for a job now."""
        self._bell.set()

    def leave(self) -> None:
        """Take no more jobs, and let the attempts that are running run on to their end."""
        if not self._leaving.is_set():
            log.info("draining: no more jobs are taken, those that run are finished")
            self._leaving.set()
            self.ring()

    def run(self) -> None:
        """Take jobs until the worker drains or its stay is over; then wait for those that run."""
        self._stay.begin()
        while not self._ends():
            wait = self._settings.poll_seconds
            try:
                while not self._ends() and self._take_one():
                    pass
            except SQLAlchemyError as error:
                log.warning("could not look for a job: %s", type(error).__name__)
                wait = AWAY_SECONDS
            except Exception:
                # A worker that takes no more jobs would be noticed only when they are stuck.
                log.exception("could not start a job")
                wait = AWAY_SECONDS
            self._bell.wait(min(wait, max(self._stay.idle_seconds_left(), 0.0)))
            self._bell.clear()
        for _ in range(self._settings.slots):
            self._free.acquire()

    def _ends(self) -> bool:
        ends = self._leaving.is_set() or self._supervisor.draining.is_set()
        if not ends and self._stay.is_over():
            self._leaving.set()
            ends = True
        return ends

    def _take_one(self) -> bool:
        """Claim a job if a slot is free and a job waits; tell whether to look for another one."""
        if not self._free.acquire(blocking=False):
            return False
        begun = False
        try:
            with self._database.write() as session:
                claim = Repository(session).claim(
                    self.worker_id,
                    self._settings.lease_seconds,
                    queues=self._settings.queue_names,
                    gpus=MANY_GPUS if self._settings.gpus is None else self._settings.gpus,
                )
            if claim is not None:
                self._stay.take_job()
                # What was claimed and cannot be started is freed when its lease is over.
                self._start(partial(self._run, claim))
                begun = True
        finally:
            if not begun:
                self._free.release()
        return begun

    def _run(self, claim: Claim) -> None:
        bind(worker=self.worker_id)
        try:
            with self._stay.at_work():
                self._supervisor.run(claim)
        finally:
            self._free.release()
            # The next job need not wait for a poll.
            self._bell.set()
