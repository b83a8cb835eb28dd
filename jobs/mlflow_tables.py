"""The tables of the mirror in MLflow: which job is which run, and how far it has been told."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from jobs.schema import Table

_DUE = text("next_at IS NOT NULL")


class MlflowMirror(Table):
    """That jobs are mirrored: while somebody was seen here lately, their events are noted."""

    __tablename__ = "mlflow_mirrors"

    mirror: Mapped[str] = mapped_column(String(128), primary_key=True)
    seen_at: Mapped[datetime]


class MlflowRun(Table):
    """A job as MLflow has it, from the transaction of its first attempt; it outlives the job."""

    __tablename__ = "mlflow_runs"

    job_id: Mapped[str] = mapped_column(String(30), primary_key=True)
    """Without a foreign key: of a job that was deleted, the run is still to be ended."""
    experiment_id: Mapped[str | None] = mapped_column(String(64))
    run_id: Mapped[str | None] = mapped_column(String(256))
    """None until the run is made."""
    told: Mapped[str | None] = mapped_column(String(9))
    """The run's status as it was last told: RUNNING, FINISHED, FAILED, KILLED."""
    position: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The last step that was told of, by stage."""
    files: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The sha256 of what was copied, by name."""
    moment: Mapped[datetime | None]
    """What the points on their way bear; the same again, should their answer be lost."""
    model: Mapped[str | None] = mapped_column(String(256))
    """The registered model, where the student is a version of one."""
    version: Mapped[str | None] = mapped_column(String(32))
    news: Mapped[int] = mapped_column(Integer)
    """Events so far that a mirror has to hear of; one that comes meanwhile is not slept through."""
    token: Mapped[int] = mapped_column(Integer)
    """Raised by each claim, and where one is let go of: whoever had it can write no more."""
    failures: Mapped[int] = mapped_column(Integer)
    """Tries in a row that came to nothing."""
    next_at: Mapped[datetime | None]
    """When it is looked at next; while it is, when that counts as lost; None until an event."""
    error: Mapped[str | None] = mapped_column(String(300))
    """Why the last try failed."""

    __table_args__ = (
        CheckConstraint("told IN ('RUNNING', 'FINISHED', 'FAILED', 'KILLED')", "told_known"),
        CheckConstraint("(model IS NULL) = (version IS NULL)", "version_of_model"),
        Index("ix_mlflow_runs_due", "next_at", sqlite_where=_DUE, postgresql_where=_DUE),
    )
