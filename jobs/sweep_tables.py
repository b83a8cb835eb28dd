"""The tables of sweeps: what is tried, and which job tries it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from jobs.schema import Table


class Sweep(Table):
    """Many trials of one spec."""

    __tablename__ = "sweeps"

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    project: Mapped[str] = mapped_column(String(63))
    name: Mapped[str | None] = mapped_column(String(150))
    status: Mapped[str] = mapped_column(String(9))
    body: Mapped[dict[str, Any]]
    """As sent, with all defaults."""
    idempotency_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    body_sha256: Mapped[str | None] = mapped_column(String(64))
    created_by: Mapped[str | None] = mapped_column(String(20))
    """Id of the key that posted it."""
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_for: Mapped[str | None] = mapped_column(String(16))
    """Why: `done`, `budget` or `cancelled`."""

    __table_args__ = (
        CheckConstraint("status IN ('running', 'completed', 'cancelled')", "status_known"),
        CheckConstraint("(status = 'running') = (ended_at IS NULL)", "ended_with_status"),
        Index(None, "project", "id"),
        Index(None, "status"),
    )


class Trial(Table):
    """One point of a sweep, on one rung."""

    __tablename__ = "trials"

    sweep_id: Mapped[str] = mapped_column(
        ForeignKey("sweeps.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    """Of the point."""
    rung: Mapped[int] = mapped_column(Integer, primary_key=True)
    state: Mapped[str] = mapped_column(String(7))
    """`held` until the rung below says so, `pending`, `started`, or `refused`."""
    point: Mapped[dict[str, Any]]
    sent: Mapped[dict[str, Any]]
    """The spec of its job."""
    recipe: Mapped[dict[str, Any]]
    needs: Mapped[dict[str, Any]]
    """Uploaded files (`inputs`) and files of earlier jobs (`files`) that it names."""
    job_id: Mapped[str | None] = mapped_column(String(30))
    reason: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Why no job could be made of it."""

    __table_args__ = (
        CheckConstraint("state IN ('held', 'pending', 'started', 'refused')", "state_known"),
        CheckConstraint("(state = 'started') = (job_id IS NOT NULL)", "started_with_job"),
        Index(None, "job_id"),
    )
