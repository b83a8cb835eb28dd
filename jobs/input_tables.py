"""The tables of what clients bring: datasets and models, uploads in parts, and who uses what."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from jobs.schema import Table

_THERE = text("deleted_at IS NULL")


class Input(Table):
    """A file that a client brought, kept once for each content, project and kind."""

    __tablename__ = "inputs"

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    project: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(128))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(127))
    location: Mapped[str] = mapped_column(String(255))
    """Where the store keeps the content."""
    created_by: Mapped[str | None] = mapped_column(String(20))
    """Id of the key that brought it."""
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    """The row stays, for jobs that ended have used it."""

    __table_args__ = (
        CheckConstraint("kind IN ('dataset', 'model')", "kind_known"),
        CheckConstraint("size_bytes >= 0", "size_not_negative"),
        CheckConstraint("length(sha256) = 64", "sha256_complete"),
        Index(
            "ix_inputs_content",
            "project",
            "kind",
            "sha256",
            unique=True,
            sqlite_where=_THERE,
            postgresql_where=_THERE,
        ),
        Index(None, "project", "kind", "id"),
    )


class JobInput(Table):
    """A job's spec names a file that a client brought."""

    __tablename__ = "job_inputs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    input_id: Mapped[str] = mapped_column(ForeignKey("inputs.id"), primary_key=True)

    __table_args__ = (Index(None, "input_id"),)


class JobFile(Table):
    """A job's spec names a file that an earlier job has delivered."""

    __tablename__ = "job_files"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    source_id: Mapped[str] = mapped_column(String(30), primary_key=True)
    """The earlier job; it may be deleted once this one has ended."""
    name: Mapped[str] = mapped_column(String(128), primary_key=True)

    __table_args__ = (Index(None, "source_id"),)


class Upload(Table):
    """A file on its way in parts."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    project: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(8))
    name: Mapped[str] = mapped_column(String(128))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    """As announced."""
    part_bytes: Mapped[int] = mapped_column(BigInteger)
    """Of every part but the last one."""
    sha256: Mapped[str | None] = mapped_column(String(64))
    """As announced, if it was."""
    created_by: Mapped[str | None] = mapped_column(String(20))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    """Each part that comes pushes it back."""
    input_id: Mapped[str | None] = mapped_column(String(30))
    """What became of it, once it was completed."""

    __table_args__ = (
        CheckConstraint("kind IN ('dataset', 'model')", "kind_known"),
        CheckConstraint("size_bytes > 0", "size_positive"),
        CheckConstraint("part_bytes > 0", "part_positive"),
        Index(None, "project", "id"),
        Index(None, "expires_at"),
    )


class UploadPart(Table):
    """One part of an upload that has arrived whole."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[str] = mapped_column(
        ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    location: Mapped[str] = mapped_column(String(255))

    __table_args__ = (
        CheckConstraint("number > 0", "number_positive"),
        CheckConstraint("length(sha256) = 64", "sha256_complete"),
    )
