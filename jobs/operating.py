"""The tables that operators look at: what sweepers, slots and trainers leave behind."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from jobs.schema import Number, Table


class DrainMode(StrEnum):
    """What becomes of the attempts that a worker runs when it is to take no more jobs."""

    FINISH = "finish"
    """They run on to their end."""
    SAVE = "save"
    """They save and go back to the queue, as at SIGTERM."""


class Worker(Table):
    """A worker process that is, or lately was, there."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    slots: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    about: Mapped[dict[str, Any] | None]
    """What it computes with: versions, GPUs, cores; for whoever looks for what is wrong."""
    draining_since: Mapped[datetime | None]
    """Since when it may claim no job; there is no way back, its successor has another id."""
    drain_mode: Mapped[str | None] = mapped_column(String(8))

    __table_args__ = (
        CheckConstraint("drain_mode IN ('finish', 'save')", "drain_mode_known"),
        CheckConstraint(
            "(draining_since IS NULL) = (drain_mode IS NULL)", "drain_mode_while_draining"
        ),
    )


class SweeperRound(Table):
    """When a sweeper last came through; there may be any number of them."""

    __tablename__ = "sweeper_rounds"

    sweeper: Mapped[str] = mapped_column(String(128), primary_key=True)
    at: Mapped[datetime]


class Tally(Table):
    """How often something took how long; as with status changes, the sum over the rows counts."""

    __tablename__ = "tallies"

    id: Mapped[int] = mapped_column(Number, primary_key=True, autoincrement=True)
    series: Mapped[str] = mapped_column(String(32))
    label: Mapped[str] = mapped_column(String(96))
    bucket: Mapped[int] = mapped_column(Integer)
    """Number of the first upper bound that it does not exceed (`jobs/tallies.py`)."""
    count: Mapped[int] = mapped_column(BigInteger)
    seconds: Mapped[float] = mapped_column(Double)


class TrainerLog(Table):
    """What the trainer of an attempt wrote to its standard output and error, shortened."""

    __tablename__ = "trainer_logs"

    job_id: Mapped[str] = mapped_column(String(30), primary_key=True)
    attempt: Mapped[int] = mapped_column(Integer, primary_key=True)
    head: Mapped[bytes] = mapped_column(LargeBinary)
    left_out: Mapped[int] = mapped_column(BigInteger)
    """Bytes between head and tail that were not kept."""
    tail: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "attempt"], ["attempts.job_id", "attempts.attempt"], ondelete="CASCADE"
        ),
    )
