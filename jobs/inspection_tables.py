"""The tables of what is found out of data, models and specs before a job."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from jobs.schema import Table


class Inspection(Table):
    """One question of a project, which a worker answers once."""

    __tablename__ = "inspections"

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    project: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(64))
    """sha256 of what is asked, the content of uploaded files with it."""
    question: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(8))
    attempt: Mapped[int] = mapped_column(Integer)
    """The fencing token: each claim raises it."""
    losses: Mapped[int] = mapped_column(Integer)
    """Workers that died over it."""
    lease_until: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None]
    failure: Mapped[dict[str, Any] | None]
    """Code, message and hint."""
    created_by: Mapped[str | None] = mapped_column(String(20))
    """Id of the key that asked first."""
    created_at: Mapped[datetime]
    asked_at: Mapped[datetime]
    """When it was asked last; what nobody asks for is forgotten."""
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("kind IN ('dataset_report', 'model_layers', 'preflight')", "kind_known"),
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", "state_known"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", "lease_while_running"),
        CheckConstraint(
            "(state IN ('done', 'failed')) = (finished_at IS NOT NULL)", "end_when_ended"
        ),
        Index("ix_inspections_question", "project", "digest", unique=True),
        Index(None, "state", "id"),
        Index(None, "asked_at"),
    )


class InspectionInput(Table):
    """An inspection looks into a file that a client brought."""

    __tablename__ = "inspection_inputs"

    inspection_id: Mapped[str] = mapped_column(
        ForeignKey("inspections.id", ondelete="CASCADE"), primary_key=True
    )
    input_id: Mapped[str] = mapped_column(ForeignKey("inputs.id"), primary_key=True)

    __table_args__ = (Index(None, "input_id"),)
