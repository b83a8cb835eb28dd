"""The collector: removes what is kept no longer, and what no job names and never will.

Files are put before the ledger names them, so a crash in between leaves an orphan and never a lie.
Any number of collectors may run; what one has removed, the others find removed.
"""

import logging
import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from jobs.artifacts import ArtifactStore, Stored
from jobs.clearing import Clearing
from jobs.database import UNREACHABLE, Database
from jobs.errors import StoreUnavailable
from jobs.repository import Repository
from jobs.settings import Settings

MOST = 500
"""How many files are looked at, and at most removed, at a time."""

log = logging.getLogger(__name__)


class Collector:
    """Goes round the store, a part at a time; has a thread of its own, since stores are slow."""

    def __init__(self, settings: Settings, database: Database, store: ArtifactStore) -> None:
        """Start at the beginning of the store."""
        self._settings = settings
        self._database = database
        self._store = store
        self._clearing = Clearing(settings, database, store)
        self._after = ""

    def run(self, stop: threading.Event) -> None:
        """Collect every now and then until told to stop."""
        # Not all at the same moment, and not in the first moments of a worker's life.
        while not stop.wait(self._settings.collect_seconds * random.uniform(0.8, 1.2)):  # noqa: S311
            for work in (self._clearing.run, self.collect):
                try:
                    work()
                except (StoreUnavailable, *UNREACHABLE) as error:
                    log.warning("could not collect: %s", type(error).__name__)
                except Exception:
                    log.exception("could not collect")

    def collect(self) -> int:
        """Look through the next part of the store; return how many orphans were removed.

        Raises:
            StoreUnavailable: the store is away; the same part is looked through again.
        """
        removed = 0
        for orphan in self._orphans(self._store.unfinished()):
            self._store.discard(orphan)
            log.info("removed what was left of an upload of %s", orphan.location)
            removed += 1
        part = list(islice(self._store.list(after=self._after), MOST))
        for orphan in self._orphans(iter(part)):
            self._store.delete(orphan.location)
            log.info("removed %s, which no job names", orphan.location)
            removed += 1
        self._after = part[-1].location if len(part) == MOST else ""
        return removed

    def _orphans(self, stored: Iterator[Stored]) -> list[Stored]:
        grace = timedelta(seconds=self._settings.orphan_grace_seconds)
        before = datetime.now(UTC) - grace
        old = list(islice((one for one in stored if one.since < before), MOST))
        if not old:
            return []
        with self._database.read() as session:
            return Repository(session).orphans(old)
