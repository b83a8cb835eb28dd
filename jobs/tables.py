"""The tables, for SQLite and PostgreSQL alike; the migrations make exactly these."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from jobs.input_tables import Input, JobFile, JobInput, Upload, UploadPart
from jobs.inspection_tables import Inspection, InspectionInput
from jobs.operating import SweeperRound, Tally, TrainerLog, Worker
from jobs.schema import Number, Table
from jobs.states import ACTIVE, TERMINAL, AttemptStatus, Status
from jobs.sweep_tables import Sweep, Trial
from jobs.tenants import DEFAULT_PROJECT, DEFAULT_QUEUE, ApiKey, AuditEntry, Project
from jobs.webhook_tables import Webhook, WebhookDelivery

__all__ = [
    "ApiKey",
    "Artifact",
    "Attempt",
    "AuditEntry",
    "Event",
    "Input",
    "Inspection",
    "InspectionInput",
    "Job",
    "JobFile",
    "JobInput",
    "JobLabel",
    "MetricChunk",
    "MetricView",
    "Project",
    "StatusChange",
    "Sweep",
    "SweeperRound",
    "Table",
    "Tally",
    "TrainerLog",
    "Trial",
    "Upload",
    "UploadPart",
    "Webhook",
    "WebhookDelivery",
    "Worker",
]


def _any_of(names: frozenset[Status] | type[Status] | type[AttemptStatus]) -> str:
    return "(" + ", ".join(sorted(f"'{name}'" for name in names)) + ")"


_KEPT = text("finished_at IS NOT NULL AND artifacts_purged_at IS NULL")


class Job(Table):
    """A stored spec with a status."""

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    project: Mapped[str] = mapped_column(String(63), server_default=DEFAULT_PROJECT)
    """Whose it is."""
    submitted_by: Mapped[str | None] = mapped_column(String(20))
    """Id of the key that it was posted with."""
    name: Mapped[str | None]
    status: Mapped[str] = mapped_column(String(16))
    phase: Mapped[str | None] = mapped_column(String(32))
    spec: Mapped[dict[str, Any]]
    """As the client sent it."""
    recipe: Mapped[dict[str, Any]]
    """The resolved form: a later default does not change an old job."""
    labels: Mapped[dict[str, Any]]
    method: Mapped[str | None] = mapped_column(String(64))
    teacher: Mapped[str] = mapped_column(String(64))
    student: Mapped[str] = mapped_column(String(64))
    priority: Mapped[int] = mapped_column(Integer)
    queue: Mapped[str] = mapped_column(String(63), server_default=DEFAULT_QUEUE)
    """Taken only by workers that look into it."""
    gpus: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Taken only by workers that have as many."""
    max_attempts: Mapped[int] = mapped_column(Integer)
    max_runtime_seconds: Mapped[int | None] = mapped_column(Integer)

    created_at: Mapped[datetime]
    run_after: Mapped[datetime]
    """Not claimed before; a crashed attempt pushes it back."""
    dispatched_at: Mapped[datetime | None]
    """When a bell was last rung for it."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    attempt: Mapped[int] = mapped_column(Integer, default=0)
    """Number of the latest attempt: the fencing token, which only grows."""
    worker: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    cancel_mode: Mapped[str | None] = mapped_column(String(16))
    failed_attempts: Mapped[int] = mapped_column(Integer, default=0)
    """Attempts that crashed or were lost since the last retry."""
    stalled_attempts: Mapped[int] = mapped_column(Integer, default=0)
    """How many of the last ones in a row did not get further than a checkpoint before them."""
    saved_steps: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Highest step with a checkpoint, by stage."""
    progressed_attempt: Mapped[int] = mapped_column(Integer, default=0)
    """The last attempt that saved further than any before it."""
    resume_floor: Mapped[int] = mapped_column(Integer, default=0)
    """Attempts up to this one are not resumed from: the job was retried from scratch after it."""

    retry_floor: Mapped[int] = mapped_column(Integer, default=0)
    """Attempts up to this one were before the client's last retry; their time counts no more."""

    progress: Mapped[dict[str, Any] | None]
    verdict: Mapped[dict[str, Any] | None]
    gates_passed: Mapped[bool | None]
    failure: Mapped[dict[str, Any] | None]
    result_attempt: Mapped[int | None] = mapped_column(Integer)
    """The one attempt whose result counts."""
    last_seq: Mapped[int] = mapped_column(Integer, default=0)
    """Number of the latest event."""
    cloned_from: Mapped[str | None] = mapped_column(String(30))
    """The job whose spec this one began with; it may be deleted meanwhile."""
    artifacts_purged_at: Mapped[datetime | None]
    """When the retention time took its files; what else is known of it stays."""

    idempotency_key: Mapped[str | None] = mapped_column(String(255), unique=True)
    """Digest of the key that the client sent, and of its project: each has keys of its own."""
    body_sha256: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        CheckConstraint(f"status IN {_any_of(Status)}", "status_known"),
        CheckConstraint(
            f"(status IN {_any_of(ACTIVE)}) = (worker IS NOT NULL)", "worker_while_active"
        ),
        CheckConstraint(
            f"(status IN {_any_of(ACTIVE)}) = (lease_until IS NOT NULL)", "lease_while_active"
        ),
        CheckConstraint(
            f"(status IN {_any_of(TERMINAL)}) = (finished_at IS NOT NULL)", "finished_when_terminal"
        ),
        CheckConstraint(
            "(status = 'succeeded') = (result_attempt IS NOT NULL)", "result_when_succeeded"
        ),
        CheckConstraint("priority BETWEEN 0 AND 100", "priority_in_range"),
        CheckConstraint("attempt >= 0", "attempt_counts_up"),
        Index(
            "ix_jobs_leased",
            "lease_until",
            sqlite_where=text("lease_until IS NOT NULL"),
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        Index(
            "ix_jobs_next",
            "project",
            "queue",
            text("priority DESC"),
            "run_after",
            "id",
            sqlite_where=text("status = 'queued'"),
            postgresql_where=text("status = 'queued'"),
        ),
        Index("ix_jobs_kept", "finished_at", sqlite_where=_KEPT, postgresql_where=_KEPT),
        # A project's list goes by id, which is by time; under each filter it is a walk along one
        # index. A search for words reads the first, and not the wide rows.
        Index(None, "project", "id", "name"),
        Index(None, "project", "status", "id"),
        Index(None, "project", "method", "id"),
        Index(None, "project", "teacher", "id"),
        Index(None, "project", "student", "id"),
    )


class JobLabel(Table):
    """A label of a job once more, where jobs can be found by it."""

    __tablename__ = "job_labels"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(63), primary_key=True)
    value: Mapped[str] = mapped_column(String(256))
    project: Mapped[str] = mapped_column(String(63), server_default=DEFAULT_PROJECT)

    __table_args__ = (
        Index(None, "project", "key", "value", "job_id"),
        Index(None, "project", "key", "job_id"),
    )


class StatusChange(Table):
    """How many jobs of a project came into a status or left it; the sum is how many there are."""

    __tablename__ = "status_changes"

    id: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    project: Mapped[str] = mapped_column(String(63), server_default=DEFAULT_PROJECT)
    status: Mapped[str] = mapped_column(String(16))
    jobs: Mapped[int] = mapped_column(BigInteger)


class Attempt(Table):
    """One claim of a job by one worker."""

    __tablename__ = "attempts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    worker: Mapped[str] = mapped_column(String(128))
    status: Mapped[str] = mapped_column(String(16))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(String(64))
    exit_code: Mapped[int | None] = mapped_column(Integer)
    signal: Mapped[int | None] = mapped_column(Integer)
    batches: Mapped[int] = mapped_column(Integer, default=0)
    """Batches of events written so far; a batch sent twice after a lost answer counts once."""

    __table_args__ = (
        CheckConstraint(f"status IN {_any_of(AttemptStatus)}", "status_known"),
        CheckConstraint("(status = 'running') = (ended_at IS NULL)", "ended_unless_running"),
    )


class Event(Table):
    """An append-only line of a job's story."""

    __tablename__ = "events"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    attempt: Mapped[int | None] = mapped_column(Integer)
    type: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    data: Mapped[dict[str, Any]]


class MetricChunk(Table):
    """A run of points of one stage's curves, packed into columns (`jobs/metrics.py`)."""

    __tablename__ = "metric_chunks"

    id: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    attempt: Mapped[int] = mapped_column(Integer)
    stage: Mapped[str] = mapped_column(String(64))
    seed: Mapped[int] = mapped_column(BigInteger)
    first_step: Mapped[int] = mapped_column(BigInteger)
    last_step: Mapped[int] = mapped_column(BigInteger)
    count: Mapped[int] = mapped_column(Integer)
    keys: Mapped[list[str]] = mapped_column(JSON)
    data: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (Index(None, "job_id", "id"),)


class MetricView(Table):
    """The telling rows of one long chunk, so that a view of a long curve need not read it all."""

    __tablename__ = "metric_views"

    chunk_id: Mapped[int] = mapped_column(
        Number,
        ForeignKey("metric_chunks.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    )
    count: Mapped[int] = mapped_column(Integer)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class Artifact(Table):
    """A file with a sha256 that a job delivered."""

    __tablename__ = "artifacts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(32))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(127))
    location: Mapped[str] = mapped_column(String(255))
    """Where the store keeps the content."""
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("size_bytes >= 0", "size_not_negative"),
        CheckConstraint("length(sha256) = 64", "sha256_complete"),
    )
