"""What the worker that owns a job writes: claim, renew, report, deliver."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update

from jobs.curves import CurveBook
from jobs.errors import LeaseLost
from jobs.hub import hub_files
from jobs.inputs import Used
from jobs.job_files import JobFiles
from jobs.journal import Line, held, require_owner
from jobs.moments import clock
from jobs.progress import fold_progress, fold_saved_steps
from jobs.states import AttemptStatus, Status, Verb
from jobs.tables import Attempt, Event, Job, Worker
from jobs.tallies import QUEUE_WAIT, tally
from jobs.tenants import DEFAULT_QUEUE
from jobs.turns import has_room, next_of, serve, turns

_NO_ROW = frozenset({"stage.progress", "answers.progress", "metrics"})

_JOBS: Any = Job.__table__
_ATTEMPTS: Any = Attempt.__table__
_THEIRS = _JOBS.c.id == bindparam("job")
# What every report says is made once, past the mapper: that took most of a report's time.
_STANDING = (
    select(
        *(
            _JOBS.c[name]
            for name in (
                *("attempt", "status", "cancel_mode", "phase"),
                *("progress", "saved_steps", "progressed_attempt"),
            )
        )
    )
    .where(_THEIRS)
    .with_for_update()
)
_NEW_BATCH = update(_ATTEMPTS).where(
    _ATTEMPTS.c.job_id == bindparam("job"),
    _ATTEMPTS.c.attempt == bindparam("token"),
    _ATTEMPTS.c.batches < bindparam("batch"),
)
_GET_ON = update(_JOBS).where(_THEIRS)

MANY_GPUS = 1 << 30
"""As many as any job may ask for."""


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
    origin: dict[str, Any] = field(default_factory=dict[str, Any])
    """Which request the job came with (`request_id`), and in which trace (`traceparent`)."""
    inputs: list[Used] = field(default_factory=list[Used])
    """Files that the recipe names: uploaded ones, and those of earlier jobs."""
    claimed_at: float = field(default_factory=time.monotonic)
    """On the monotonic clock of whoever claimed it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the client wants meanwhile."""

    cancel: str | None
    """`graceful` or `now`."""
    pause: bool = False


class Leases(CurveBook, JobFiles):
    """Claims on jobs, and everything that only their owner may write."""

    def claim(
        self,
        worker_id: str,
        lease_seconds: float,
        *,
        queues: Sequence[str] = (DEFAULT_QUEUE,),
        gpus: int = MANY_GPUS,
    ) -> Claim | None:
        """Take the job that is next, if any: see `jobs.turns`.

        Only `queues` are looked into, one after another, and jobs that ask for more `gpus` are left
        to others. A worker that drains gets none.
        """
        projects = turns(self._session)
        if projects and self._drains(worker_id):
            return None
        for queue, project in product(queues, projects):
            if not has_room(self._session, project):
                continue
            best = next_of(self._session, project, queue, gpus).scalar_subquery()
            job_id = self._move(
                Verb.CLAIM,
                Status.QUEUED,
                Job.id == best,
                attempt=Job.attempt + 1,
                worker=worker_id,
                lease_until=clock(lease_seconds),
                started_at=func.coalesce(Job.started_at, clock()),
            )
            if job_id is not None:
                serve(self._session, project)
                return self._claimed(job_id, worker_id)
        return None

    def _drains(self, worker_id: str) -> bool:
        """Say whether a worker drains; until this transaction ends nobody can tell it to.

        By the lock a drain and a claim follow one another, so that none is claimed after the drain
        was committed. A worker that is not listed yet cannot have been told.
        """
        since = select(Worker.draining_since).where(Worker.id == worker_id)
        return self._session.scalar(since.with_for_update(read=True)) is not None

    def _claimed(self, job_id: str, worker_id: str) -> Claim:
        job = self.get(job_id)
        earlier = self._session.scalars(
            select(Attempt).where(
                Attempt.job_id == job_id,
                Attempt.attempt > job.resume_floor,
                Attempt.attempt < job.attempt,
            )
        ).all()
        told = self._session.execute(
            select(Event.seq, Event.data)
            .where(
                Event.job_id == job_id,
                (Event.seq == 1)
                | ((Event.type == "artifact") & (Event.attempt > job.resume_floor)),
            )
            .order_by(Event.seq)
        ).all()
        begun = self._connection.execute(
            insert(Attempt)
            .values(
                job_id=job_id,
                attempt=job.attempt,
                worker=worker_id,
                status=AttemptStatus.RUNNING.value,
                started_at=clock(),
            )
            .returning(Attempt.started_at)
        ).scalar_one()
        self._append(job_id, [("attempt.started", {"worker": worker_id})], job.attempt)
        tally(self._connection, QUEUE_WAIT, (begun - job.run_after).total_seconds())
        return Claim(
            job_id=job_id,
            attempt=job.attempt,
            recipe=job.recipe,
            resume_from=sorted((row.attempt for row in earlier), reverse=True),
            announced=[data for seq, data in told if seq > 1],
            inputs=[*self.files_for(job_id), *hub_files(job.recipe)],
            origin=told[0][1],
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
        connection = self._connection
        job = connection.execute(_STANDING, {"job": job_id}).one_or_none()
        if job is None:
            raise LeaseLost(job_id, token)  # it was deleted
        require_owner(job_id, token, job.attempt, job.status)
        number = {"job": job_id, "token": token, "batch": batch, "batches": batch}
        if not connection.execute(_NEW_BATCH, number).rowcount:
            return _wish(job.status, job.cancel_mode)
        saved, went_on = fold_saved_steps(job.saved_steps, events)
        phases = [event["phase"] for event in events if event["type"] == "phase"]
        # The row is locked, so it is still this attempt's.
        values = {
            "progress": fold_progress(job.progress, events),
            "phase": phases[-1] if phases else job.phase,
            "saved_steps": saved,
            "progressed_attempt": token if went_on else job.progressed_attempt,
        }
        connection.execute(_GET_ON, {"job": job_id, **values})
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
