"""What a sweep may spend, and what it has spent."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jobs.moments import clock
from jobs.sweep_errors import BudgetSpent, SweepEnded
from jobs.sweep_spec import Budget, SweepSpec
from jobs.sweep_tables import Sweep, Trial
from jobs.tables import Attempt


def spent_seconds(session: Session, sweep_id: str) -> float:
    """Return how long all attempts together have run, those that run up to now."""
    ran = session.execute(
        select(Attempt.started_at, func.coalesce(Attempt.ended_at, clock()))
        .join(Trial, Trial.job_id == Attempt.job_id)
        .where(Trial.sweep_id == sweep_id)
    )
    return sum(_seconds(begun, ended) for begun, ended in ran)


def is_spent(session: Session, sweep_id: str, budget: Budget) -> bool:
    """Return whether no more may begin."""
    return budget.seconds is not None and spent_seconds(session, sweep_id) >= budget.seconds


def body_to_go_on(session: Session, sweep: Sweep, budget: Budget | None) -> dict[str, Any]:
    """Return what a sweep that has ended goes on with; `budget` takes the place of its own.

    Raises:
        SweepEnded: all its trials have ended.
        BudgetSpent: so much is spent already.
    """
    if sweep.status == "completed" and sweep.ended_for != "budget":
        raise SweepEnded(sweep.id)
    body = SweepSpec.model_validate(sweep.body)
    granted = budget or body.budget
    if granted.seconds is not None:
        spent = spent_seconds(session, sweep.id)
        if spent >= granted.seconds:
            raise BudgetSpent(sweep.id, granted.seconds, spent)
    return {**sweep.body, "budget": granted.model_dump(mode="json")}


def _seconds(begun: datetime, ended: datetime) -> float:
    return max((ended - begun).total_seconds(), 0.0)
