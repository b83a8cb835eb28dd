"""The tables that operators look at: what sweepers, slots and trainers leave behind."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Double, ForeignKeyConstraint, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from jobs.schema import Number, Table


class Worker(Table):
    """A worker process that is, or lately was, there."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    slots: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    about: Mapped[dict[str, Any] | None]
    """What it computes with: versions, GPUs, cores; for whoever looks for what is wrong."""


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
