"""The ways in which anything is written: a status moves through the gate, a line is appended.

What a worker writes is fenced: the token is the number of its attempt, a later claim raises the
job's number, and everything that an earlier owner still writes finds no row and changes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, case, insert, null, select, update
from sqlalchemy.orm import Session

from jobs.errors import JobNotFound, LeaseLost
from jobs.states import ACTIVE, TERMINAL, TRANSITIONS, Verb
from jobs.tables import Event, Job, clock

Line = tuple[str, Mapping[str, Any]]
"""An event's type and data."""


class Journal:
    """A session of the ledger; it never commits, so its writes happen together or not at all."""

    def __init__(self, session: Session) -> None:
        """Read and write inside the session's transaction."""
        self._session = session

    def get(self, job_id: str) -> Job:
        """Return a job as it is now.

        Raises:
            JobNotFound: there is none.
        """
        job = self._session.get(Job, job_id, populate_existing=True)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def _locked(self, job_id: str) -> Job:
        """Return a job that nobody else can change before this transaction ends."""
        statement = select(Job).where(Job.id == job_id).with_for_update()
        job = self._session.scalar(statement, execution_options={"populate_existing": True})
        if job is None:
            raise JobNotFound(job_id)
        return job

    def _owned(self, job_id: str, token: int) -> Job:
        """Return a job, locked, if the token is good.

        Raises:
            LeaseLost: another attempt owns the job, or it has ended.
        """
        job = self._locked(job_id)
        if job.attempt != token or job.status not in ACTIVE:
            raise LeaseLost(job_id, token)
        return job

    def _move(self, verb: Verb, *where: ColumnElement[bool], **values: Any) -> str | None:
        """Move the one job that `where` picks, if the verb fits its status; return its id, or None.

        What must be true of a status is made true with it: only active jobs have a worker and a
        lease, only terminal ones an end.
        """
        moves = TRANSITIONS[verb]
        leads_to_end = Job.status.in_([old for old, new in moves.items() if new in TERMINAL])
        stays_active = Job.status.in_([old for old, new in moves.items() if new in ACTIVE])
        settled: dict[str, Any] = {
            "status": case({old.value: new.value for old, new in moves.items()}, value=Job.status),
            "finished_at": case((leads_to_end, clock()), else_=null()),
            "worker": case((stays_active, Job.worker), else_=null()),
            "lease_until": case((stays_active, Job.lease_until), else_=null()),
            "phase": case((stays_active, Job.phase), else_=null()),
        }
        statement = (
            update(Job)
            .where(Job.status.in_(list(moves)), *where)
            .values({**settled, **values})
            .returning(Job.id)
            .execution_options(synchronize_session=False)
        )
        return self._session.scalar(statement)

    def _append(self, job_id: str, lines: Iterable[Line], attempt: int | None = None) -> None:
        """Append lines to a job's story; it locks the job's row, so the numbers have no gap."""
        rows = [{"type": kind, "data": dict(data), "attempt": attempt} for kind, data in lines]
        if not rows:
            return
        last = self._session.scalar(
            update(Job)
            .where(Job.id == job_id)
            .values(last_seq=Job.last_seq + len(rows))
            .returning(Job.last_seq)
            .execution_options(synchronize_session=False)
        )
        if last is None:
            raise JobNotFound(job_id)
        for place, row in enumerate(rows, start=last - len(rows) + 1):
            row.update(job_id=job_id, seq=place)
        self._session.execute(insert(Event).values(at=clock()), rows)


def held(job_id: str, token: int) -> tuple[ColumnElement[bool], ...]:
    """Return the fence: conditions that only the row of a job still owned by this attempt meets."""
    return Job.id == job_id, Job.attempt == token, Job.status.in_(list(ACTIVE))
