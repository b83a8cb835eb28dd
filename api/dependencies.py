"""What the routes stand on: one house for each app, and what every request asks of it."""

from __future__ import annotations

import logging
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Request

from api import views
from api.bodies import Body, read_body
from api.callers import Caller, caller_of
from api.exposition import Census, Meters
from api.locks import Locks
from api.readiness import Readiness
from api.remembering import Drawings
from api.screens import Screens
from api.streams import PAGE_EVENTS, Look, Watchtower
from jobs import tables
from jobs.batches import Batches
from jobs.database import UNREACHABLE, Database, open_database
from jobs.errors import JobNotFound
from jobs.ids import JOB_ID
from jobs.intake import store_all
from jobs.keyed import Glance, JobRow, rows_of
from jobs.keys import Scope
from jobs.messenger import Messenger
from jobs.mirror import Mirror
from jobs.mlflow_client import open_mlflow
from jobs.queue import Bell
from jobs.repository import Repository
from jobs.rounds import Rounds
from jobs.settings import Settings
from jobs.spec import JobSpec
from jobs.stores import open_store, prepare_store
from jobs.submission import Submission
from jobs.sweeper import SweeperThread
from kdcore.teacher_cache.shelf import Shelf

log = logging.getLogger(__name__)

_MOST_DRAWINGS: Final = 2000


class House:
    """The database, the files, the bell and the watchers of one app."""

    def __init__(self, settings: Settings) -> None:
        """Prepare everything; the database is opened by `open` alone.

        Raises:
            StoreMisconfigured: the settings of the artifact store make no sense.
        """
        self.settings = settings
        self.store = open_store(settings)
        self.bell = Bell(settings)
        self.meters = Meters(self._census)
        self.tower = Watchtower(self._look, self.meters.streams)
        self.screens = Screens(self.tower, self.meters.streams)
        self.locks = Locks(lambda: self.database)
        self.drawings = Drawings(_MOST_DRAWINGS)
        self._rounds: list[Rounds] = []
        self._database: Database | None = None

    def open(self) -> None:
        """See to the artifact store and open the database with its schema; once is enough.

        Raises:
            StoreMisconfigured: the artifact store could never take a file.
            SchemaOutOfDate: the schema is another one, and bringing it up to date is not ours.
            MlflowMissing: jobs are to be mirrored, and the client of MLflow is not installed.
        """
        if self._database is None:
            mlflow = open_mlflow(self.settings)
            prepare_store(self.store)
            database = open_database(self.settings)
            self._database = database
            self._glance = Glance(database)
            self._rows = Batches[str, JobRow]("rows", partial(rows_of, database))
            self._intake = Batches[Submission, JobRow]("intake", partial(store_all, database))
            self.readiness = Readiness(self.settings, database, self.store, self.bell)
            self._sweeper = SweeperThread(self.settings, database, self.bell)
            if self.settings.webhooks:
                self._rounds.append(Messenger(self.settings, database))
            if mlflow is not None:
                self._rounds.append(Mirror(self.settings, database, self.store, mlflow))
            for one in self._rounds:
                one.start()

    def close(self) -> None:
        """End the streams and let go of everything."""
        self.tower.shut_down()
        if self._database is not None:
            self._sweeper.close()
            while self._rounds:
                self._rounds.pop().close()
            self._intake.close()
            self._rows.close()
            self._glance.close()
            self._database.close()
            self._database = None
        self.bell.close()

    @property
    def database(self) -> Database:
        """The open database."""
        if self._database is None:
            raise RuntimeError("the app has not been started: use it as a context manager")
        return self._database

    @contextmanager
    def reading(self) -> Generator[Repository]:
        """Yield a repository that sees one state of the ledger, of all projects."""
        with self.database.read() as session:
            yield Repository(session)

    def has_keys(self) -> bool:
        """Say whether there ever was a key to ask for."""
        with self.reading() as repository:
            return repository.has_keys()

    async def row(self, job_id: str) -> JobRow:
        """Return a job's row, without a way through other threads where it can be had at once.

        Raises:
            JobNotFound: there is no such job.
        """
        if self.database.is_sqlite and (row := self._glance.row(job_id)):
            return row
        return await self._rows.ask(job_id)

    async def submit(self, submission: Submission) -> JobRow:
        """Store a job, together with all that come at the same moment; return its row, committed.

        Raises:
            ProjectFull: its project may not have another job waiting.
            IdempotencyKeyTaken: another job was made under its key.
        """
        return await self._intake.ask(submission)

    def oldest_beat(self) -> datetime:
        """Return the moment since when a worker must have been seen to count as alive."""
        return datetime.now(UTC) - timedelta(seconds=self.settings.lease_seconds)

    def _look(self, job_id: str, after: int | None) -> Look:
        with self.reading() as repository:
            job = repository.get(job_id)
            events: Sequence[tables.Event] = ()
            if after is not None:
                events = repository.events(job_id, after=after, limit=PAGE_EVENTS)
            return views.look(job, events)

    def _census(self) -> Census | None:
        oldest = self.oldest_beat()
        shelf = Shelf(self.settings.teacher_caches, self.settings.teacher_cache_bytes)
        try:
            with self.reading() as repository:
                at_work = [
                    one.slots for one in repository.workers() if views.takes_jobs(one, oldest)
                ]
                last = repository.last_sweep()
                return Census(
                    jobs=views.counts(repository.counts()),
                    workers=len(at_work),
                    slots=sum(at_work),
                    swept_at=last.at.timestamp() if last else None,
                    tallies=repository.tallies(),
                    webhooks_pending=repository.pending_deliveries(),
                    mirrored=repository.mirrored() if self.settings.mlflow_url else None,
                    teacher_cache_bytes=sum(cache.size() for cache in shelf.caches()),
                    teacher_cache_budget=shelf.budget_bytes,
                )
        except UNREACHABLE:
            return None


class Visit:
    """The house, as one request sees it: every question is bound to the caller's project."""

    def __init__(self, house: House, caller: Caller) -> None:
        """Come in as `caller`."""
        self.house = house
        self.caller = caller
        self.settings = house.settings
        self.store = house.store
        self.bell = house.bell
        self.meters = house.meters
        self.tower = house.tower
        self.screens = house.screens

    @contextmanager
    def reading(self) -> Generator[Repository]:
        """Yield a repository that sees one state of the ledger."""
        with self.house.database.read() as session:
            yield Repository(session, self.caller.project)

    @contextmanager
    def writing(
        self, action: str, subject: str, details: Mapping[str, Any] | None = None
    ) -> Generator[Repository]:
        """Yield a repository whose changes are committed at the end, or none of them.

        What is done to what stands in the audit, in the same transaction.
        """
        with self.house.database.write() as session:
            repository = Repository(session, self.caller.project)
            yield repository
            repository.note(
                self.caller.author, action, subject, project=self.caller.project, details=details
            )

    @contextmanager
    def overseeing(self) -> Generator[Repository]:
        """Yield a repository to look at everything that the key opens, be it the whole house."""
        with self.house.database.read() as session:
            yield Repository(session, self._own)

    @contextmanager
    def changing(self) -> Generator[Repository]:
        """Yield a repository to change something for which `writing` is too narrow."""
        with self.house.database.write() as session:
            yield Repository(session, self._own)

    @property
    def _own(self) -> str | None:
        return None if self.caller.is_house else self.caller.project

    async def row(self, job_id: str) -> JobRow:
        """Return a job's row, without a way through other threads where it can be had at once.

        Raises:
            JobNotFound: there is no such job.
        """
        row = await self.house.row(job_id)
        if row.project != self.caller.project:
            raise JobNotFound(job_id)
        return row

    async def is_welcome(self) -> bool:
        """Say whether the caller would still be let in: an answer may go on for long."""
        return await self.house.locks.still_fits(self.caller.author.key_id)

    def submission(self, spec: JobSpec, sent: Mapping[str, Any], **more: Any) -> Submission:
        """Return a spec as a job of the caller's project."""
        by, project = self.caller.author.key_id, self.caller.project
        return Submission.of(spec, sent, project=project, submitted_by=by, **more)


async def house_of(request: Request) -> House:
    """Return the house itself, for what is nobody's in particular."""
    house: House = request.app.state.house
    return house


def visitor(scope: Scope = Scope.READ, *, house: bool = False) -> Any:
    """Return the dependency of a route that wants more than the doorman has asked for.

    It gives the house as whoever sends the request sees it, and refuses a key of a lesser scope,
    or of one project where it takes a key of the house.
    """

    async def visit_of(request: Request) -> Visit:
        visit = Visit(request.app.state.house, caller_of(request.scope))
        visit.caller.require(scope)
        if house:
            visit.caller.require_house()
        return visit

    return Depends(visit_of)


async def checked_job_id(
    job_id: Annotated[str, Path(examples=["job_01kaz3x2mcf4t6v8y0r2q4s6u8"])],
) -> str:
    """Return the id, if it can be one.

    Raises:
        JobNotFound: no job could have such an id.
    """
    if not JOB_ID.fullmatch(job_id):
        raise JobNotFound(job_id[:80])
    return job_id


OpenHouse = Annotated[House, Depends(house_of)]
Ledger = Annotated[Visit, visitor()]
AdminLedger = Annotated[Visit, visitor(Scope.ADMIN)]
HouseLedger = Annotated[Visit, visitor(house=True)]
HouseAdminLedger = Annotated[Visit, visitor(Scope.ADMIN, house=True)]
JobId = Annotated[str, Depends(checked_job_id)]
SentBody = Annotated[Body, Depends(read_body)]
