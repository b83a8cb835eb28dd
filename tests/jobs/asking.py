"""Asking verbs of the ledger, each in a transaction of its own, and attempts that end."""

from collections.abc import Callable
from typing import Any

from specs import claim

from jobs.artifacts import Delivery
from jobs.database import Database
from jobs.endings import Ending, Failure
from jobs.repository import Repository
from jobs.states import Status
from jobs.tables import Job

FILE = Delivery("student.safetensors", "student", 3, "0" * 64, "application/octet-stream")


def tell(database: Database, verb: Callable[[Repository], Any]) -> Any:
    with database.write() as session:
        return verb(Repository(session))


def job_of(database: Database, job_id: str) -> Job:
    return tell(database, lambda ledger: ledger.get(job_id))


def release(database: Database, job_id: str, reason: str, *, counted: bool = False) -> Status:
    return tell(
        database,
        lambda ledger: ledger.release(
            job_id,
            ledger.get(job_id).attempt,
            Ending(reason),
            counted=counted,
            retry_seconds=0,
        ),
    )


def attempts(database: Database, job_id: str) -> list[tuple[str, str | None]]:
    rows = tell(database, lambda ledger: ledger.attempts(job_id))
    return [(row.status, row.reason) for row in rows]


def end(database: Database, job_id: str, status: Status = Status.FAILED) -> None:
    token = claim(database).attempt
    failure = Failure("nan_loss", "NaN") if status is Status.FAILED else None
    tell(
        database,
        lambda ledger: ledger.settle(
            job_id, token, status, Ending("x", failure), deliveries=[(FILE, f"{job_id}/1/x")]
        ),
    )
