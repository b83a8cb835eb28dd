"""What a mirror has to hear of is noted with its event, as messages to webhooks are.

A job gets its row in the transaction in which something first happens to it: a job that had ended
before anybody mirrored has none. Whether anybody does is asked along with what is asked anyway.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import Connection, exists, func, insert, update

from jobs.mlflow_tables import MlflowMirror, MlflowRun
from jobs.moments import clock

GONE_SECONDS: Final = 7 * 86_400.0
"""How long a mirror may be away before nobody waits for it any more. A week."""

_NEWS: Final = frozenset(
    {
        *("attempt.started", "job.paused", "job.resumed", "job.retried", "job.changed"),
        *("job.succeeded", "job.failed", "job.cancelled"),
    }
)
_ENDED_BEFORE: Final = frozenset({"job.changed"})
"""Happens to jobs that have ended as well, whenever that was, and to those that wait."""

MIRRORED: Final = (
    exists().where(MlflowMirror.seen_at > clock(-GONE_SECONDS)).correlate(None).label("mirrored")
)
"""Whether jobs are mirrored."""


def note_run(connection: Connection, job_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Have a mirror look at a job because of lines of its story; the job's row is locked."""
    kinds = {row["type"] for row in rows} & _NEWS
    if kinds and not wake_run(connection, job_id) and kinds - _ENDED_BEFORE:
        connection.execute(insert(MlflowRun).values(new_run(job_id)))


def wake_run(connection: Connection, job_id: str) -> bool:
    """Have a mirror look at a job that it knows; tell whether there is one."""
    known = connection.execute(
        update(MlflowRun)
        .where(MlflowRun.job_id == job_id)
        .values(news=MlflowRun.news + 1, next_at=func.coalesce(MlflowRun.next_at, clock()))
        .returning(MlflowRun.job_id)
    )
    return known.one_or_none() is not None


def new_run(job_id: str) -> dict[str, Any]:
    """Return the row of a job that nothing is told of yet."""
    return {
        "job_id": job_id,
        "position": {},
        "files": {},
        "news": 1,
        "token": 0,
        "failures": 0,
        "next_at": clock(),
    }
