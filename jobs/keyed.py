"""Reading one job by its id, as its row stands: no objects, and documents as the text they are.

This is what clients ask for again and again, so nothing is made of it that is not needed.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, cast

from sqlalchemy import ARRAY, String, Text, any_, bindparam, literal_column, select, type_coerce
from sqlalchemy import cast as as_type
from sqlalchemy.dialects import sqlite

from jobs.database import Database
from jobs.tables import Job
from jobs.tombstones import missing


class JobRow(NamedTuple):
    """A job as the ledger keeps it; documents are JSON text, moments what the driver gives."""

    id: str
    project: str
    name: str | None
    labels: str
    status: str
    phase: str | None
    method: str | None
    teacher: str
    student: str
    progress: str | None
    attempt: int
    max_attempts: int
    worker: str | None
    priority: int
    created_at: str | datetime
    started_at: str | datetime | None
    finished_at: str | datetime | None
    cancel_mode: str | None
    gates_passed: int | None
    failure: str | None
    verdict: str | None
    spec: str
    recipe: str
    max_runtime_seconds: int | None
    cloned_from: str | None
    artifacts_purged_at: str | datetime | None


_DOCUMENTS: Final = {"labels", "progress", "failure", "verdict", "spec", "recipe"}
_MOMENTS: Final = {"created_at", "started_at", "finished_at", "artifacts_purged_at"}


def _column(name: str) -> Any:
    column = getattr(Job, name)
    if name in _DOCUMENTS:
        return as_type(column, Text).label(name)
    # Not read into a moment only to be written out again.
    return type_coerce(column, Text).label(name) if name in _MOMENTS else column


ROWS: Final[Any] = select(*map(_column, JobRow._fields))
"""The statement for rows; it wants a condition."""
_BY_ID: Final = str(
    ROWS.where(Job.id == literal_column("?")).compile(dialect=sqlite.dialect())  # pyright: ignore[reportUnknownMemberType]
)
_THESE: Final = {
    "sqlite": ROWS.where(Job.id.in_(bindparam("ids", expanding=True))),
    # One parameter however many ids there are: a list of them would be written out each time.
    "postgresql": ROWS.where(Job.id == any_(bindparam("ids", type_=ARRAY(String)))),
}


def rows_of(database: Database, job_ids: Sequence[str]) -> list[JobRow | Exception]:
    """Return the rows of jobs, in one reading, in the order in which they were asked for."""
    with database.look() as connection:
        found = connection.execute(_THESE[connection.dialect.name], {"ids": list(job_ids)})
        rows = {row.id: row for row in map(JobRow._make, found)}
        return [rows.get(job_id) or missing(connection, job_id) for job_id in job_ids]


class Glance:
    """A connection of its own to a SQLite ledger, for single rows, from one thread.

    A row by its id takes some tens of microseconds, less than to hand the question to another
    thread. It never waits: where the file is locked, nothing is told, nor where there is no job.
    """

    def __init__(self, database: Database) -> None:
        """Look into `database`; the connection is made when it is needed."""
        self._database = database
        self._connection: Any = None

    def row(self, job_id: str) -> JobRow | None:
        """Return a job's row, or None where it cannot be had at once; ask elsewhere then."""
        try:
            found = self._connect().execute(_BY_ID, (job_id,)).fetchone()
        except sqlite3.Error:
            self.close()
            return None
        return JobRow._make(found) if found else None

    def _connect(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._database.engine.raw_connection()
            driver = cast("sqlite3.Connection", self._connection.driver_connection)
            driver.execute("PRAGMA busy_timeout = 0")
            driver.execute("PRAGMA query_only = 1")
        return cast("sqlite3.Connection", self._connection.driver_connection)

    def close(self) -> None:
        """Close the connection; it is never handed to anybody else."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection = None
