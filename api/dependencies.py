"""What the routes stand on: one house for each app, and what every request asks of it."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

from fastapi import Depends, Path, Request

from api import views
from api.bodies import Body, read_body
from api.exposition import Census, Meters
from api.streams import PAGE_EVENTS, Look, Watchtower
from jobs import tables
from jobs.batches import Batches
from jobs.database import UNREACHABLE, Database, open_database
from jobs.errors import JobNotFound
from jobs.ids import JOB_ID
from jobs.intake import store_all
from jobs.keyed import Glance, JobRow, rows_of
from jobs.queue import Bell
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.stores import open_store, prepare_store
from jobs.submission import Submission

log = logging.getLogger(__name__)


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
        self._database: Database | None = None

    def open(self) -> None:
        """See to the artifact store and open the database with its schema; once is enough.

        Raises:
            StoreMisconfigured: the artifact store could never take a file.
            SchemaOutOfDate: the schema is another one, and bringing it up to date is not ours.
        """
        if self._database is None:
            prepare_store(self.store)
            database = open_database(self.settings)
            self._database = database
            self._glance = Glance(database)
            self._rows = Batches[str, JobRow]("rows", partial(rows_of, database))
            self._intake = Batches[Submission, JobRow]("intake", partial(store_all, database))

    def close(self) -> None:
        """End the streams and let go of everything."""
        self.tower.shut_down()
        self.bell.close()
        if self._database is not None:
            self._intake.close()
            self._rows.close()
            self._glance.close()
            self._database.close()
            self._database = None

    @property
    def database(self) -> Database:
        """The open database."""
        if self._database is None:
            raise RuntimeError("the app has not been started: use it as a context manager")
        return self._database

    @contextmanager
    def reading(self) -> Generator[Repository]:
        """Yield a repository that sees one state of the ledger."""
        with self.database.read() as session:
            yield Repository(session)

    @contextmanager
    def writing(self) -> Generator[Repository]:
        """Yield a repository whose changes are committed at the end, or none of them."""
        with self.database.write() as session:
            yield Repository(session)

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
        try:
            with self.reading() as repository:
                alive = sum(worker.seen_at >= oldest for worker in repository.workers())
                return Census(jobs=views.counts(repository.counts()), workers=alive)
        except UNREACHABLE:
            return None


async def house_of(request: Request) -> House:
    """Return the house of the app that serves this request."""
    house: House = request.app.state.house
    return house


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


Ledger = Annotated[House, Depends(house_of)]
JobId = Annotated[str, Depends(checked_job_id)]
SentBody = Annotated[Body, Depends(read_body)]
