"""The mirror: tells MLflow what is new of jobs, from threads of its own.

A job is told by one thread of one process at a time; what is
under way is held for longer as long as this process lives, so that a killed one is noticed soon and
a large file may take its time. An MLflow that answers slowly, or never, takes a few threads, and no
transaction.
"""

import logging
import time
from functools import partial
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from jobs.artifacts import ArtifactStore
from jobs.database import Database
from jobs.ids import new_process_id
from jobs.logs import hide, secrets_of
from jobs.mlflow_client import Mlflow
from jobs.mlflow_runs import Telling
from jobs.mlflow_turn import ClaimLostError, Turn, as_error
from jobs.repository import Repository
from jobs.rounds import Rounds
from jobs.settings import Settings

LEASE_SECONDS: Final = 90.0
"""When a claim of a process that says no more counts as lost."""
BEAT_SECONDS: Final = 60.0
"""How often it is said that a mirror is there."""
THREADS: Final = 4
"""Jobs that are told of at a time."""
_DELETED: Final = "the run was deleted in MLflow; nothing more is told of this job"

log = logging.getLogger(__name__)


class Mirror(Rounds):
    """Any number of them may run: what one has claimed, the others leave alone."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        store: ArtifactStore,
        mlflow: Mlflow,
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """Tell nothing yet."""
        super().__init__("mirror")
        self._secrets = secrets_of(settings)
        self._database = database
        self._mlflow = mlflow
        self._turn = Turn(settings, database, store, mlflow)
        self._lease_seconds = lease_seconds
        self._name = new_process_id()
        self._told: dict[str, Telling] = {}
        self._beat_at = -BEAT_SECONDS
        self._renewed_at = 0.0

    def begin(self) -> None:
        """Say that a mirror is there, and take on the jobs that run already.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away.
        """
        with self._database.write() as session:
            repository = Repository(session)
            repository.begin_mirroring(self._name)
            repository.adopt_running()
        self._beat_at = time.monotonic()

    def start(self) -> None:
        """Say that it is there, and run in a thread, until it is closed."""
        self._guarded(self.begin)
        super().start()

    def look(self) -> None:
        """Hold what is under way, and begin to tell of jobs that are due, as threads allow.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away.
        """
        if time.monotonic() >= self._beat_at + BEAT_SECONDS:
            self.begin()
        self._hold()
        at_work = self._at_work()
        if len(at_work) == THREADS:
            return
        with self._database.read() as session:
            due = Repository(session).due_runs(THREADS)
        # One whose claim has lapsed meanwhile, since the database was away, is ours to finish.
        for job_id in [one for one in due if one not in at_work][: THREADS - len(at_work)]:
            with self._database.write() as session:
                telling = Repository(session).claim_run(job_id, self._lease_seconds)
            if telling is not None:
                self._told[job_id] = telling
                self._serve(job_id, partial(self._take_turn, telling))

    def _hold(self) -> None:
        if time.monotonic() < self._renewed_at + self._lease_seconds / 3:
            return
        self._renewed_at = time.monotonic()
        at_work = self._at_work()
        self._told = {one: telling for one, telling in self._told.items() if one in at_work}
        if held := [*self._told.values()]:
            with self._database.write() as session:
                repository = Repository(session)
                for telling in held:
                    repository.renew_run(telling, self._lease_seconds)

    def _take_turn(self, telling: Telling) -> None:
        try:
            self._turn.take(telling)
        except ClaimLostError:
            log.info("%s is mirrored by somebody else by now", telling.job_id)
        except SQLAlchemyError:
            raise  # ours, not MLflow's: the claim will count as lost
        except Exception as error:  # noqa: BLE001  # whatever MLflow's client or the store raise
            self._fail(telling, hide(as_error(error), self._secrets)[:300])

    def _fail(self, telling: Telling, error: str) -> None:
        is_gone = telling.run_id is not None and self._mlflow.gone(telling.run_id)
        if self._left.is_set():
            return  # the database may be closed by now
        with self._database.write() as session:
            if is_gone:
                Repository(session).finish_run(telling, again_seconds=None, error=_DELETED)
            else:
                Repository(session).fail_run(telling, error)
        level = logging.INFO if telling.failures else logging.WARNING
        log.log(level, "%s could not be mirrored in MLflow: %s", telling.job_id, error)
