"""What the worker that owns a job writes: claim, renew, report, deliver."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, insert, select, text, update

from jobs.curves import CurveBook
from jobs.errors import LeaseLost
from jobs.journal import WAITING, Line, held
from jobs.moments import clock
from jobs.progress import fold_progress, fold_saved_steps
from jobs.states import AttemptStatus, Status, Verb
from jobs.tables import Attempt, Event, Job

_NO_ROW = frozenset({"stage.progress", "answers.progress", "metrics"})

_NEXT = (
    select(Job.id)
    .where(WAITING, Job.run_after <= clock())
    .order_by(Job.priority.desc(), Job.run_after, Job.id)
    .limit(1)
    .with_for_update(skip_locked=True)
)
# The same, with the index named: once it has statistics, SQLite would rather sort all that wait.
_NEXT_OF_SQLITE = text(
    "SELECT id FROM jobs INDEXED BY ix_jobs_waiting"
    " WHERE status = 'queued' AND run_after <= ledger_clock(0.0)"
    " ORDER BY priority DESC, run_after, id LIMIT 1"
).columns(Job.id)


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that is now this worker's, for as long as it renews the lease."""

    job_id: str
    attempt: int
    """The fencing token as well."""
    recipe: dict[str, Any]
    resume_from: list[int]
    """Earlier attempts whose work may be gone on with, the newest first."""
    announced: list[dict[str, Any]]
    """Artifacts that these attempts announced."""
    max_runtime_seconds: int | None
    used_seconds: float
    """How long earlier attempts ran since the client last asked for the job."""
    claimed_at: float = field(default_factory=time.monotonic)
    """On the monotonic clock of whoever claimed it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the client wants meanwhile."""

    cancel: str | None
    """`graceful` or `now`."""
    pause: bool = False


class Leases(CurveBook):
    """Claims on jobs, and everything that only their owner may write."""

    def claim(self, worker_id: str, lease_seconds: float) -> Claim | None:
        """Take the best waiting job, if any: highest priority first, then longest waiting."""
        is_sqlite = self._session.get_bind().dialect.name == "sqlite"
        best = (_NEXT_OF_SQLITE if is_sqlite else _NEXT).scalar_subquery()
        job_id = self._move(
            Verb.CLAIM,
            Status.QUEUED,
            Job.id == best,
            attempt=Job.attempt + 1,
            worker=worker_id,
            lease_until=clock(lease_seconds),
            started_at=func.coalesce(Job.started_at, clock()),
        )
        if job_id is None:
            return None
        job = self.get(job_id)
        earlier = self._session.scalars(
            select(Attempt).where(
                Attempt.job_id == job_id,
                Attempt.attempt > job.resume_floor,
                Attempt.attempt < job.attempt,
            )
        ).all()
        announced = self._session.scalars(
            select(Event.data)
            .where(
                Event.job_id == job_id, Event.type == "artifact", Event.attempt > job.resume_floor
            )
            .order_by(Event.seq)
        ).all()
        self._session.execute(
            insert(Attempt).values(
                job_id=job_id,
                attempt=job.attempt,
                worker=worker_id,
                status=AttemptStatus.RUNNING.value,
                started_at=clock(),
            )
        )
        self._append(job_id, [("attempt.started", {"worker": worker_id})], job.attempt)
        return Claim(
            job_id=job_id,
            attempt=job.attempt,
            recipe=job.recipe,
            resume_from=sorted((row.attempt for row in earlier), reverse=True),
            announced=list(announced),
            max_runtime_seconds=job.max_runtime_seconds,
            used_seconds=sum(
                # A clock that stepped back must not give any time away.
                max((row.ended_at - row.started_at).total_seconds(), 0.0)
                for row in earlier
                if row.ended_at and row.attempt > job.retry_floor
            ),
        )

    def heartbeat(self, job_id: str, token: int, lease_seconds: float) -> Wish:
        """Renew the lease and hear what the client wants.

        Raises:
            LeaseLost: another attempt owns the job, or it has ended.
        """
        found = self._connection.execute(
            update(Job)
            .where(*held(job_id, token))
            .values(lease_until=clock(lease_seconds))
            .returning(Job.status, Job.cancel_mode)
        ).one_or_none()
        if found is None:
            raise LeaseLost(job_id, token)
        status, mode = found
        return _wish(status, mode)

    def record(
        self, job_id: str, token: int, events: Sequence[Mapping[str, Any]], *, batch: int
    ) -> Wish:
        """Write a batch of the trainer's events, numbered from 1; hear what the client wants.

        A batch that is sent again, because the answer to its commit was lost, is written once.

        Raises:
            LeaseLost: the token is stale; nothing is written.
        """
        job = self._owned(job_id, token)
        is_new = self._connection.scalar(
            update(Attempt)
            .where(Attempt.job_id == job_id, Attempt.attempt == token, Attempt.batches < batch)
            .values(batches=batch)
            .returning(Attempt.batches)
        )
        if is_new is None:
            return _wish(job.status, job.cancel_mode)
        saved, went_on = fold_saved_steps(job.saved_steps, events)
        phases = [event["phase"] for event in events if event["type"] == "phase"]
        self._connection.execute(
            update(Job)
            .where(*held(job_id, token))
            .values(
                progress=fold_progress(job.progress, events),
                phase=phases[-1] if phases else job.phase,
                saved_steps=saved,
                progressed_attempt=token if went_on else job.progressed_attempt,
            )
        )
        self.keep_points(job_id, token, events, batch)
        lines = [_line(event) for event in events if event["type"] not in _NO_ROW]
        self._append(job_id, lines, token)
        return _wish(job.status, job.cancel_mode)


def _line(event: Mapping[str, Any]) -> Line:
    return event["type"], {key: value for key, value in event.items() if key != "type"}


def _wish(status: str, cancel_mode: str | None) -> Wish:
    return Wish(
        cancel=cancel_mode if status == Status.CANCELLING else None, pause=status == Status.PAUSING
    )
