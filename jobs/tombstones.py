"""What stays of what is gone: jobs that clients deleted, and files that are to be cleared away."""

from datetime import datetime

from sqlalchemy import Connection, String, select
from sqlalchemy.orm import Mapped, mapped_column

from jobs.errors import JobDeleted, JobNotFound
from jobs.tables import Table


class DeletedJob(Table):
    """A job that was there: who asks for it is told so."""

    __tablename__ = "deleted_jobs"

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    deleted_at: Mapped[datetime]


class CondemnedFile(Table):
    """A file in the store that the ledger names no more; it goes, and then this row."""

    __tablename__ = "condemned_files"

    location: Mapped[str] = mapped_column(String(255), primary_key=True)


def missing(connection: Connection, job_id: str) -> JobNotFound:
    """Return what is to be said of a job that is not there: it never was, or it was deleted."""
    at = connection.scalar(select(DeletedJob.deleted_at).where(DeletedJob.id == job_id))
    return JobNotFound(job_id) if at is None else JobDeleted(job_id, at)
