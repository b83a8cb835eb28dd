"""Runs in the ledger: which are due, whose they are to tell, and how far they have been told.

As with messages to webhooks, a claim moves the moment of the next look to when this one counts as
lost, and what comes of it is written only by who holds the claim.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import case, delete, func, insert, select, update

from jobs.journal import Journal
from jobs.mirroring import GONE_SECONDS, new_run
from jobs.mlflow_tables import MlflowMirror, MlflowRun
from jobs.moments import clock
from jobs.tables import Job

WAITS_SECONDS: Final = (5, 15, 60, 300, 600)
"""Before each try after a failure; the last one again and again, for as long as it takes."""
_LET_GO: Final = MlflowRun.token + 1


@dataclass(slots=True)
class Telling:
    """A job whose run is now this process's to tell."""

    job_id: str
    token: int
    """Raised by each claim, and where one is let go of."""
    failures: int
    news: int
    moment: datetime
    """What points bear that are told next."""
    experiment_id: str | None
    run_id: str | None
    told: str | None
    position: dict[str, int] = field(default_factory=dict[str, int])
    files: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Mirrored:
    """How many jobs are how far."""

    told: int
    """As MLflow has them, nothing is left to tell for now."""
    waiting: int
    failing: int
    """Those that wait since a try failed."""


class MlflowRuns(Journal):
    """Statements of whoever mirrors; any number may do so at once."""

    def begin_mirroring(self, mirror: str) -> None:
        """Say that a mirror is there: events are noted for it from now on."""
        this = MlflowMirror.mirror == mirror
        seen = update(MlflowMirror).where(this).values(seen_at=clock())
        if self._connection.scalar(seen.returning(MlflowMirror.mirror)) is None:
            values = {"mirror": mirror, "seen_at": clock()}
            self._connection.execute(insert(MlflowMirror).values(**values))
            gone = MlflowMirror.seen_at < clock(-GONE_SECONDS)
            self._connection.execute(delete(MlflowMirror).where(gone))

    def adopt_running(self) -> int:
        """Take on the jobs that run now and began before anybody mirrored; return how many."""
        known = select(MlflowRun.job_id).where(MlflowRun.job_id == Job.id)
        running = select(Job.id).where(Job.lease_until.is_not(None), ~known.exists())
        # Locked, so that none of their events makes a row meanwhile.
        locked = running.with_for_update(skip_locked=True, of=Job)
        found = self._session.scalars(locked).all()
        if found:
            self._connection.execute(insert(MlflowRun), [_adopted(one) for one in found])
            self._connection.execute(
                update(MlflowRun).where(MlflowRun.job_id.in_(found)).values(next_at=clock())
            )
        return len(found)

    def due_runs(self, limit: int) -> Sequence[str]:
        """Return some jobs that are due, the one first that has been for the longest time."""
        due = select(MlflowRun.job_id).where(MlflowRun.next_at <= clock())
        return self._session.scalars(due.order_by(MlflowRun.next_at).limit(limit)).all()

    def claim_run(self, job_id: str, lease_seconds: float) -> Telling | None:
        """Take a job that is due, if it still is."""
        one = MlflowRun
        best = select(one.job_id).where(one.job_id == job_id, one.next_at <= clock())
        claimed = self._connection.execute(
            update(one)
            .where(one.job_id == best.with_for_update(skip_locked=True).scalar_subquery())
            .values(
                token=one.token + 1,
                next_at=clock(lease_seconds),
                moment=func.coalesce(one.moment, clock()),
            )
            .returning(
                *(one.job_id, one.token, one.failures, one.news, one.moment),
                *(one.experiment_id, one.run_id, one.told, one.position, one.files),
            )
        ).one_or_none()
        return None if claimed is None else Telling(*claimed)

    def renew_run(self, telling: Telling, lease_seconds: float) -> None:
        """Hold a claim for longer, if it is still held."""
        self._tell(telling, next_at=clock(lease_seconds))

    def advance_run(self, telling: Telling, **values: Any) -> bool:
        """Write down how far a run has been told; tell whether the claim is still held."""
        return self._tell(telling, **values)

    def next_moment(self, telling: Telling, position: Mapping[str, int]) -> datetime | None:
        """Write down a position, and return what later points bear; None where the claim is lost.

        Before, they would have borne the same as those whose answer has now come.
        """
        held = update(MlflowRun).where(*_held(telling))
        values = {"position": dict(position), "moment": clock()}
        return self._connection.scalar(held.values(**values).returning(MlflowRun.moment))

    def finish_run(self, telling: Telling, *, again_seconds: float | None, **values: Any) -> bool:
        """Let go of a run that has been told all; it is looked at again then, or at an event.

        An event that came meanwhile is not slept through. Tell whether the claim was still held.
        """
        sleeps = None if again_seconds is None else clock(again_seconds)
        no_news = MlflowRun.news == telling.news
        next_at = case((no_news, sleeps), else_=clock())
        clean = {"failures": 0, "error": None, "moment": None, "token": _LET_GO}
        return self._tell(telling, **{"next_at": next_at, **clean, **values})

    def fail_run(self, telling: Telling, error: str) -> None:
        """Let go of a run that could not be told; it is tried again later, for ever."""
        wait = WAITS_SECONDS[min(telling.failures, len(WAITS_SECONDS) - 1)]
        # Not all at the same moment, once MLflow is back.
        wait *= random.uniform(0.9, 1.1)  # noqa: S311  # no secret
        failures = telling.failures + 1
        self._tell(telling, next_at=clock(wait), token=_LET_GO, failures=failures, error=error)

    def forget_run(self, telling: Telling) -> None:
        """Remove the run of a job that is no more."""
        self._connection.execute(delete(MlflowRun).where(*_held(telling)))

    def run_of(self, job_id: str) -> MlflowRun | None:
        """Return a job's run, if something was noted of it.

        Raises:
            JobNotFound: there is no such job.
        """
        self._require(job_id)
        return self._session.get(MlflowRun, job_id, populate_existing=True)

    def mirrored(self) -> Mirrored:
        """Return how many jobs are how far."""
        waits = MlflowRun.next_at.is_not(None)
        counts = select(
            func.count().filter(~waits),
            func.count().filter(waits),
            func.count().filter(waits, MlflowRun.failures > 0),
        )
        return Mirrored(*self._session.execute(counts).one())

    def _tell(self, telling: Telling, **values: Any) -> bool:
        held = update(MlflowRun).where(*_held(telling)).values(**values)
        return self._connection.scalar(held.returning(MlflowRun.job_id)) is not None


def _held(telling: Telling) -> tuple[Any, ...]:
    return MlflowRun.job_id == telling.job_id, MlflowRun.token == telling.token


def _adopted(job_id: str) -> dict[str, Any]:
    return {name: value for name, value in new_run(job_id).items() if name != "next_at"}
