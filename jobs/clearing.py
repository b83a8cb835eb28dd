"""Clearing away: files of the store that were condemned, and working directories that are spent.

Everything here may be done twice, by several at once, and may stop anywhere: what is left is found
again.
"""

import contextlib
import logging
import shutil
from pathlib import Path

from jobs.artifacts import ArtifactStore
from jobs.database import Database
from jobs.errors import StoreUnavailable
from jobs.ids import JOB_ID
from jobs.repository import Repository
from jobs.retention import Spent
from jobs.settings import Settings

AT_ONCE = 50
"""Jobs, or files, of one transaction."""
MOST = 20
"""Transactions of each kind in one go."""

log = logging.getLogger(__name__)


class Clearing:
    """Clears away for one machine: its working directories, and the store that all share."""

    def __init__(self, settings: Settings, database: Database, store: ArtifactStore) -> None:
        """Clear what the settings name."""
        self._retention_days = settings.retention_days
        self._inspection_days = settings.inspection_days
        self._webhook_days = settings.webhook_days
        self._work = settings.work
        self._database = database
        self._store = store

    def run(self) -> None:
        """Give up what is kept no longer, and clear away a part of what there is to clear."""
        self.purge()
        self.uploads()
        self.inspections()
        self.webhooks()
        self.files()
        self.workdirs()

    def purge(self) -> None:
        """Give up files of jobs that ended longer ago than the settings keep them."""
        if self._retention_days is None:
            return
        for _ in range(MOST):
            with self._database.write() as session:
                purged = Repository(session).purge(self._retention_days, AT_ONCE)
            for job_id in purged:
                log.info("the files of %s were kept for long enough", job_id)
            if len(purged) < AT_ONCE:
                return

    def uploads(self) -> None:
        """Give up uploads in parts that were left alone for too long."""
        for _ in range(MOST):
            with self._database.write() as session:
                expired = Repository(session).expire_uploads(AT_ONCE)
            for upload_id in expired:
                log.info("%s was left alone for too long", upload_id)
            if len(expired) < AT_ONCE:
                return

    def inspections(self) -> None:
        """Forget what was found out long ago, and is not asked for any more."""
        for _ in range(MOST):
            with self._database.write() as session:
                gone = Repository(session).forget_inspections(self._inspection_days, AT_ONCE)
            if len(gone) < AT_ONCE:
                return

    def webhooks(self) -> None:
        """Forget what webhooks were told long ago."""
        for _ in range(MOST):
            with self._database.write() as session:
                gone = Repository(session).forget_deliveries(self._webhook_days, AT_ONCE)
            if len(gone) < AT_ONCE:
                return

    def files(self) -> None:
        """Remove condemned files from the store; what cannot be removed now waits."""
        after = ""
        for _ in range(MOST):
            with self._database.read() as session:
                locations = Repository(session).condemned(after, AT_ONCE)
            if not locations or not self._has_store():
                return
            gone = [location for location in locations if self._remove(location)]
            if gone:
                with self._database.write() as session:
                    Repository(session).cleared(gone)
            if len(locations) < AT_ONCE:
                return
            after = locations[-1]

    def _has_store(self) -> bool:
        """Tell whether the store is here: nothing can be said of files where none can be."""
        try:
            self._store.ping()
        except (OSError, StoreUnavailable) as error:
            log.warning("the artifact store is not here: %s", error)
            return False
        return True

    def _remove(self, location: str) -> bool:
        try:
            self._store.delete(location)
        except (OSError, StoreUnavailable) as error:
            log.warning("%s stays in the store for now: %s", location, error)
            return False
        return True

    def workdirs(self) -> None:
        """Remove this machine's working directories of jobs that nobody goes on with."""
        if not self._work.is_dir():
            return
        here = [path.name for path in self._work.iterdir() if JOB_ID.fullmatch(path.name)]
        for first in range(0, len(here), AT_ONCE):
            with self._database.read() as session:
                spent = Repository(session).spent(here[first : first + AT_ONCE])
            for one in spent:
                _remove_workdirs(self._work / one.job_id, one)


def _remove_workdirs(folder: Path, spent: Spent) -> None:
    if spent.attempt is None:
        shutil.rmtree(folder, ignore_errors=True)
        return
    # Not the whole: the job may be retried at this moment, and the new attempt is not spent.
    for attempt in [*folder.iterdir()] if folder.is_dir() else []:
        number = attempt.name.removesuffix(".tmp")
        if number.isdecimal() and int(number) <= spent.attempt:
            shutil.rmtree(attempt, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.rmdir()
