"""The greeter: keeps a worker listed while it runs anything, and hears how it is to drain."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from jobs.database import Database
from jobs.logs import bind
from jobs.operating import DrainMode
from jobs.repository import Repository
from jobs.settings import Settings
from worker.machine import about, free_bytes

GREET_SECONDS = 10.0
LOOK_SECONDS = 2.0
"""Between two looks for a drain, which the ledger has in a row that it finds by its key."""

log = logging.getLogger(__name__)


class Greeter:
    """Speaks for one worker process to whoever lists workers."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        worker_id: str,
        heed: Callable[[DrainMode], None],
    ) -> None:
        """Have `heed` called at each look that finds the worker told to drain."""
        self._settings = settings
        self._database = database
        self._worker_id = worker_id
        self._heed = heed
        self._machine: dict[str, Any] = {}
        self._due = 0.0

    def run(self, over: threading.Event) -> None:
        """Greet and look until all is over; then have the worker listed no more."""
        bind(worker=self._worker_id)
        self._machine = about()
        while not over.is_set():
            self._say(self._greet if time.monotonic() >= self._due else self._look)
            over.wait(LOOK_SECONDS)
        self._say(self._part)

    def _say(self, say: Callable[[], DrainMode | None]) -> None:
        try:
            mode = say()
        except Exception as error:  # noqa: BLE001  # being listed is no condition for working
            log.warning("could not greet: %s", type(error).__name__)
        else:
            if mode is not None:
                self._heed(mode)

    def _greet(self) -> DrainMode | None:
        told = {
            **self._machine,
            "queues": self._settings.queue_names,
            "free_bytes": free_bytes(self._settings.data),
        }
        with self._database.write() as session:
            mode = Repository(session).greet(self._worker_id, self._settings.slots, told)
        self._due = time.monotonic() + GREET_SECONDS
        return mode

    def _look(self) -> DrainMode | None:
        with self._database.read() as session:
            return Repository(session).drain_asked(self._worker_id)

    def _part(self) -> None:
        with self._database.write() as session:
            Repository(session).part(self._worker_id)
