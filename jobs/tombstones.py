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
    project: Mapped[str] = mapped_column(String(63))
    deleted_at: Mapped[datetime]


class CondemnedFile(Table):
    """A file in the store that the ledger names no more; it goes, and then this row."""

    __tablename__ = "condemned_files"

    location: Mapped[str] = mapped_column(String(255), primary_key=True)


def missing(connection: Connection, job_id: str, project: str | None = None) -> JobNotFound:
    """Return what is to be said of a job that is not there: it never was, or it was deleted.

    To a project, of jobs of another one, that they never were.
    """
    deleted = select(DeletedJob.deleted_at).where(DeletedJob.id == job_id)
    if project is not None:
        deleted = deleted.where(DeletedJob.project == project)
    at = connection.scalar(deleted)
    return JobNotFound(job_id) if at is None else JobDeleted(job_id, at)
