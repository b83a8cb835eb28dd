"""What anybody may do for everybody: free jobs of dead workers, ring lost bells.

Each step is one conditional statement, so any number of sweepers may run at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, text, update

from jobs.artifacts import Stored
from jobs.endings import Ending, Endings
from jobs.journal import DUE, DUE_OF_SQLITE, WAITING
from jobs.moments import clock
from jobs.states import ACTIVE, Status
from jobs.tables import Artifact, Input, Job, UploadPart

BELL_SECONDS = 15.0

_UNHEARD = (
    select(Job.id)
    .where(
        WAITING,
        DUE,
        Job.dispatched_at.is_(None) | (Job.dispatched_at < clock(-BELL_SECONDS)),
    )
    .with_for_update(skip_locked=True)
)
# The same, with the index named, as where jobs are claimed: once it has statistics, SQLite would
# rather look through the table. In no order: a bell only wakes, and a claim takes what is next.
_UNHEARD_OF_SQLITE = (
    "SELECT id FROM jobs INDEXED BY ix_jobs_next"  # noqa: S608  # a constant of ours
    f" WHERE status = 'queued' AND {DUE_OF_SQLITE}"
    " AND (dispatched_at IS NULL OR dispatched_at < ledger_clock(:ago))"
    " LIMIT :most"
)


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as somebody saw it; a heartbeat changes `until`."""

    job_id: str
    token: int
    until: datetime


class Sweeping(Endings):
    """Statements of the sweepers."""

    def leases(self) -> list[Lease]:
        """Return all leases, expired or not."""
        rows = self._session.execute(
            select(Job.id, Job.attempt, Job.lease_until).where(Job.status.in_(list(ACTIVE)))
        )
        return [Lease(job_id, token, until) for job_id, token, until in rows if until]

    def expire(
        self, lease: Lease, *, retry_seconds: float, lease_seconds: float | None = None
    ) -> Status | None:
        """Free the job if the lease is still the one that was seen, and is over; None if not.

        The caller has seen it unchanged for a whole lease time on its own clock: after an outage of
        the database every lease looks expired, also those of workers that are well. One that runs
        for longer than `lease_seconds` even now was begun under a wrong clock, and is over as well.
        """
        is_over = Job.lease_until < clock()
        if lease_seconds is not None:
            is_over |= Job.lease_until > clock(lease_seconds)
        holds = self._session.scalar(
            select(Job.id)
            .where(
                Job.id == lease.job_id,
                Job.attempt == lease.token,
                Job.status.in_(list(ACTIVE)),
                Job.lease_until == lease.until,
                is_over,
            )
            .with_for_update(skip_locked=True)
        )
        if holds is None:
            return None
        return self.release(
            lease.job_id,
            lease.token,
            Ending("lost"),
            counted=True,
            retry_seconds=retry_seconds,
            # Nobody may have looked for days; a job's time is not used up by that.
            ended_at=lease.until,
        )

    def bells_due(self, limit: int = 100) -> Sequence[str]:
        """Return jobs that wait and were not rung for lately; ring them after the commit."""
        due = _UNHEARD.limit(limit)
        if self._session.get_bind().dialect.name == "sqlite":
            due = text(_UNHEARD_OF_SQLITE).bindparams(most=limit, ago=-BELL_SECONDS).columns(Job.id)
        return self._session.scalars(
            update(Job)
            .where(Job.id.in_(due))
            .values(dispatched_at=clock())
            .returning(Job.id)
            .execution_options(synchronize_session=False)
        ).all()

    def orphans(self, stored: Sequence[Stored]) -> list[Stored]:
        """Return what no row names and none ever will, since its attempt does not run any more."""
        job_ids = {one.attempt[0] for one in stored}
        # In this order: an attempt that settles between the two statements is seen in one of them.
        active = self._session.execute(
            select(Job.id, Job.attempt).where(Job.id.in_(job_ids), Job.status.in_(list(ACTIVE)))
        )
        running = {(job_id, attempt) for job_id, attempt in active}
        named = set(
            self._session.scalars(select(Artifact.location).where(Artifact.job_id.in_(job_ids)))
        )
        locations = {one.location for one in stored}
        for brought in (Input, UploadPart):
            theirs = select(brought.location).where(brought.location.in_(locations))
            named.update(self._session.scalars(theirs))
        return [
            one
            for one in stored
            if one.attempt not in running and (one.upload or one.location not in named)
        ]
