"""Ledgers full of jobs, each written as the repository writes it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import insert
from sqlalchemy.orm import Session

from jobs.bulk import insert_rows
from jobs.database import Database, Written
from jobs.ids import new_job_id
from jobs.spec import JobSpec
from jobs.states import TERMINAL, Status
from jobs.submission import Submission
from jobs.tables import Event, Job, JobLabel, StatusChange, Table

RARE: dict[str, str | None] = {"rare": "yes"}
"""A label of three jobs: the oldest, the one in the middle, the newest."""
_CHUNK = 5_000
_STATUSES = (Status.SUCCEEDED, Status.QUEUED, Status.FAILED, Status.CANCELLED)
_SHARES = (0.6, 0.9, 0.95, 1.0)
_METHODS, _STUDENTS = ("kd", "dkd"), ("mlp", "plain_cnn")


def fill(database: Database, count: int) -> list[str]:
    """Store so many jobs, most of them ended, and return their ids, the oldest first."""
    kinds = [_kind(method, student) for method in _METHODS for student in _STUDENTS]
    ids = [new_job_id() for _ in range(count)]
    rare = {0, count // 2, count - 1}
    begin = datetime.now(UTC) - timedelta(days=30)
    for start in range(0, count, _CHUNK):
        rows: list[dict[str, Any]] = []
        labels: list[dict[str, str]] = []
        counted: Counter[Status] = Counter()
        for place in range(start, min(start + _CHUNK, count)):
            share = place * 0.6180339887 % 1
            status = next(s for s, top in zip(_STATUSES, _SHARES, strict=True) if share < top)
            counted[status] += 1
            team = f"team {place % 50}"
            kept = {"team": team} | ({"rare": "yes"} if place in rare else {})
            moment = begin + timedelta(seconds=place)
            ended = moment if status in TERMINAL else None
            rows.append(
                {
                    **kinds[place % len(kinds)],
                    "id": ids[place],
                    "name": f"nightly {place}",
                    "status": status.value,
                    "labels": Written(json.dumps(kept)),
                    "created_at": moment,
                    "run_after": moment,
                    "dispatched_at": moment,
                    "finished_at": ended,
                    "result_attempt": 1 if status is Status.SUCCEEDED else None,
                }
            )
            labels += [{"job_id": ids[place], "key": key, "value": kept[key]} for key in kept]
        first = {"seq": 1, "type": "job.queued", "data": Written("{}")}
        events = [{"job_id": row["id"], **first, "at": row["created_at"]} for row in rows]
        with database.write() as session:
            _store(session, Job, rows)
            _store(session, Event, events)
            _store(session, JobLabel, labels)
            _count(session, counted)
    return ids


def _store(session: Session, table: type[Table], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows as the repository does, or by COPY, which takes a million in a minute or two."""
    if session.get_bind().dialect.name == "sqlite":
        insert_rows(session.connection(), table, rows)
        return
    from psycopg import Connection, sql

    columns = sql.SQL(", ").join(map(sql.Identifier, rows[0]))
    driver = cast("Connection", session.connection().connection.driver_connection)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.__tablename__), columns
    )
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(list(row.values()))


def _kind(method: str, student: str) -> dict[str, Any]:
    sent = {"teacher": "plain_cnn", "student": student, "data": "digits", "method": method}
    submission = Submission.of(JobSpec.model_validate(sent), sent)
    return submission.stored(submission.row("", datetime.now(UTC)))


def _count(session: Session, counted: Counter[Status]) -> None:
    notes = [{"status": status.value, "jobs": jobs} for status, jobs in counted.items()]
    session.execute(insert(StatusChange), notes)
