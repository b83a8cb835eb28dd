"""The tables of who may do what: projects, the keys to them, and the record of what was done."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from jobs.schema import Number, Table

DEFAULT_PROJECT: Final = "default"
"""The project of whoever names none; every ledger has it."""
DEFAULT_QUEUE: Final = "default"
"""The queue of jobs that name none, and of workers that name none."""


class Project(Table):
    """A team: its jobs are seen by its own keys alone, and it takes its turn among the others."""

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    created_at: Mapped[datetime]
    max_running: Mapped[int | None] = mapped_column(Integer)
    """Jobs of it that run at the same time at most."""
    max_waiting: Mapped[int | None] = mapped_column(Integer)
    """Jobs of it that wait at most; more are refused."""
    served_at: Mapped[datetime | None]
    """When a worker last took a job of it: whoever waits longest for its turn is next."""

    __table_args__ = (
        CheckConstraint("max_running >= 0", "max_running_not_negative"),
        CheckConstraint("max_waiting >= 0", "max_waiting_not_negative"),
    )


class ApiKey(Table):
    """A key, as a digest: the key itself is told once and kept nowhere."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(20), primary_key=True)
    """Stands in the key itself, in front of the secret."""
    project: Mapped[str | None] = mapped_column(ForeignKey("projects.name"))
    """None is a key of the house, which opens every project."""
    name: Mapped[str] = mapped_column(String(100))
    scope: Mapped[str] = mapped_column(String(8))
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    created_by: Mapped[str | None] = mapped_column(String(20))
    """Id of the key that made it; None where the operator's shell did."""
    session_of: Mapped[str | None] = mapped_column(String(20))
    """Id of the key that a browser showed to be given this one, which ends with it."""
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """To the minute."""
    revoked_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("scope IN ('admin', 'read', 'write')", "scope_known"),
        CheckConstraint("length(sha256) = 64", "sha256_complete"),
        Index(None, "project", "id"),
        Index(None, "session_of"),
    )


class AuditEntry(Table):
    """One thing that somebody did; the database refuses to change or to delete it."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    project: Mapped[str | None] = mapped_column(String(63))
    """None where it concerns the house."""
    key_id: Mapped[str | None] = mapped_column(String(20))
    """None where no key was asked for."""
    address: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(128))
    """Id of what it was done to."""
    details: Mapped[dict[str, Any]]

    __table_args__ = (Index(None, "project", "id"),)
