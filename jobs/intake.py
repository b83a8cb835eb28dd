"""Storing submissions together: all that wait become one transaction, and one flush of the disk."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from jobs.bulk import insert_rows
from jobs.database import UNREACHABLE, Database
from jobs.errors import IdempotencyKeyTaken, ProjectFull
from jobs.ids import new_job_id
from jobs.input_errors import InputNotFound
from jobs.inputs import note_uses
from jobs.job_files import note_files
from jobs.journal import count
from jobs.keyed import JobRow
from jobs.outbox import Told, note_queued
from jobs.projects import require_room
from jobs.repeats import make_way
from jobs.states import Status
from jobs.submission import Submission
from jobs.tables import Event, Job, JobLabel


def store_all(database: Database, submissions: Sequence[Submission]) -> list[JobRow | Exception]:
    """Store jobs and return their rows, each committed; what cannot be stored has its error.

    A key that is taken, a project that is full, or a file that is gone undoes the common
    transaction; each is then stored alone.
    """
    if len(submissions) == 1:
        return [_store_one(database, submissions[0])]
    try:
        # No session: it would cost as much as what it is there for.
        with database.engine.begin() as connection:
            return list[JobRow | Exception](store(connection, submissions))
    except (IntegrityError, IdempotencyKeyTaken, ProjectFull, InputNotFound):
        return [_store_one(database, one) for one in submissions]


def _store_one(database: Database, submission: Submission) -> JobRow | Exception:
    try:
        with database.engine.begin() as connection:
            return store(connection, [submission])[0]
    except (
        IdempotencyKeyTaken,
        InputNotFound,
        ProjectFull,
        IntegrityError,
        *UNREACHABLE,
    ) as error:
        return error


def store(connection: Connection, submissions: Sequence[Submission]) -> list[JobRow]:
    """Store jobs inside a transaction, each with its first event, and return their rows.

    Raises:
        ProjectFull: a project may not have so many jobs waiting.
        InputNotFound: an uploaded file was deleted since it was looked for.
        JobFileMissing: so was an earlier job, or its files were.
        IdempotencyKeyTaken: there is one job, and its key is taken; or a request that names none
            has made its job already.
        sqlalchemy.exc.IntegrityError: there are several, and a key of one is taken.
    """
    make_way(connection, submissions)
    moment, limited, heard = _now(connection)
    if limited:
        for project, jobs in Counter(one.project for one in submissions).items():
            require_room(connection, project, jobs)
    rows = [one.row(new_job_id(), moment) for one in submissions]
    stored = [one.stored(row) for one, row in zip(submissions, rows, strict=True)]
    try:
        insert_rows(connection, Job, stored)
    except IntegrityError as error:
        key = submissions[0].idempotency_key
        if len(submissions) > 1 or key is None:
            raise
        raise IdempotencyKeyTaken(key) from error
    labels = [
        {"job_id": row.id, "project": row.project, "key": key, "value": value}
        for one, row in zip(submissions, rows, strict=True)
        for key, value in one.spec.labels.items()
    ]
    if labels:
        insert_rows(connection, JobLabel, labels)
    count(connection, Counter((row.project, Status.QUEUED) for row in rows))
    first = {"seq": 1, "type": "job.queued", "at": moment}
    events = [
        {"job_id": row.id, **first, "data": one.origin}
        for row, one in zip(rows, submissions, strict=True)
    ]
    insert_rows(connection, Event, events)
    uses = [
        (row.id, one) for row, each in zip(rows, submissions, strict=True) for one in each.inputs
    ]
    note_uses(connection, uses)
    files = [
        (row.id, *one) for row, each in zip(rows, submissions, strict=True) for one in each.files
    ]
    note_files(connection, files)
    if heard:
        told = [
            Told(row.id, row.project, row.name, one.spec.labels, row.status, row.attempt)
            for row, one in zip(rows, submissions, strict=True)
        ]
        note_queued(connection, told)
    return rows


def _now(connection: Connection) -> tuple[str | datetime, bool, bool]:
    """Return the database's clock as the driver gives it, and what any project has.

    That is a limit, and a webhook. Asked together: on PostgreSQL every question is a way there and
    back.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    clock = "ledger_clock(0.0)" if is_sqlite else "clock_timestamp()"
    limited = "EXISTS (SELECT 1 FROM projects WHERE max_waiting IS NOT NULL)"
    heard = "EXISTS (SELECT 1 FROM webhooks WHERE disabled_at IS NULL)"
    asked = f"SELECT {clock}, {limited}, {heard}"
    moment, is_limited, is_heard = connection.exec_driver_sql(asked).one()
    return moment, bool(is_limited), bool(is_heard)
