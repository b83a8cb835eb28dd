"""What operators ask for: who is at work, when the ledger was swept, what trainers wrote."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from jobs.errors import LeaseLost, WorkerNotFound
from jobs.ids import machine_of
from jobs.journal import Journal, held
from jobs.moments import clock
from jobs.operating import DrainMode, SweeperRound, TrainerLog
from jobs.tables import Attempt, Job, Worker
from jobs.tallies import Tallies, read_tallies

FORGET_WORKER_SECONDS = 86_400.0
FORGET_SWEEPER_SECONDS = 86_400.0


class KeptLog(NamedTuple):
    """What is kept of what one attempt's trainer wrote."""

    attempt: int
    worker: str
    status: str
    reason: str | None
    started_at: datetime
    head: bytes
    left_out: int
    """Bytes between head and tail."""
    tail: bytes


class LastSweep(NamedTuple):
    """When any sweeper was last through, on the database's clock."""

    at: datetime
    age_seconds: float


class Operations(Journal):
    """Statements for those who watch over the house."""

    def greet(
        self, worker_id: str, slots: int, about: Mapping[str, Any] | None = None
    ) -> DrainMode | None:
        """Note that a worker is there, and what it computes with; return how it is to drain."""
        kept = dict(about) if about is not None else None
        seen = self._connection.execute(
            update(Worker)
            .where(Worker.id == worker_id)
            .values(seen_at=clock(), about=kept)
            .returning(Worker.drain_mode)
        ).one_or_none()
        if seen is None:
            self._session.execute(
                insert(Worker).values(
                    id=worker_id, slots=slots, started_at=clock(), seen_at=clock(), about=kept
                )
            )
        self._session.execute(delete(Worker).where(Worker.seen_at < clock(-FORGET_WORKER_SECONDS)))
        return DrainMode(seen.drain_mode) if seen and seen.drain_mode else None

    def drain_worker(self, worker_id: str, mode: DrainMode = DrainMode.FINISH) -> Worker:
        """Have a worker take no more jobs and end; asking again changes nothing.

        Once this is committed, it can claim none. Who was to finish may be told to save after all,
        and not the other way round: its attempts may have stopped already.

        Raises:
            WorkerNotFound: there is no such worker, or it has ended.
        """
        wanted = (
            mode.value if mode is DrainMode.SAVE else func.coalesce(Worker.drain_mode, mode.value)
        )
        since = func.coalesce(Worker.draining_since, clock())
        row = self._session.scalar(
            update(Worker)
            .where(Worker.id == worker_id)
            .values(draining_since=since, drain_mode=wanted)
            .returning(Worker),
            execution_options={"populate_existing": True},
        )
        if row is None:
            raise WorkerNotFound(worker_id)
        return row

    def drain_asked(self, worker_id: str) -> DrainMode | None:
        """Return how a worker is to drain, if it is: a look between two greetings."""
        mode = self._session.scalar(select(Worker.drain_mode).where(Worker.id == worker_id))
        return DrainMode(mode) if mode else None

    def part(self, worker_id: str) -> None:
        """Note that a worker has ended."""
        self._session.execute(delete(Worker).where(Worker.id == worker_id))

    def note_sweep(self, sweeper: str) -> None:
        """Note that a sweeper has looked at all leases."""
        mine = SweeperRound.sweeper == sweeper
        seen = self._connection.scalar(
            update(SweeperRound).where(mine).values(at=clock()).returning(SweeperRound.sweeper)
        )
        if seen is None:
            self._connection.execute(insert(SweeperRound).values(sweeper=sweeper, at=clock()))
            old = SweeperRound.at < clock(-FORGET_SWEEPER_SECONDS)
            self._connection.execute(delete(SweeperRound).where(old))

    def last_sweep(self) -> LastSweep | None:
        """Return when any sweeper was last through; None where none ever was."""
        newest = select(SweeperRound.at, clock()).order_by(SweeperRound.at.desc()).limit(1)
        row = self._session.execute(newest).one_or_none()
        return LastSweep(row[0], (row[1] - row[0]).total_seconds()) if row else None

    def silence(self, of: type[Worker | SweeperRound], machine: str) -> float | None:
        """Return for how many seconds no worker, or no sweeper, of a machine was heard, if ever."""
        name, at = (
            (Worker.id, Worker.seen_at) if of is Worker else (SweeperRound.sweeper, SweeperRound.at)
        )
        begins = name.startswith(f"{machine}-", autoescape=True)
        rows = self._session.execute(select(name, at, clock()).where(begins))
        theirs = (now - heard for process, heard, now in rows if machine_of(process) == machine)
        newest = min(theirs, default=None)
        return None if newest is None else newest.total_seconds()

    def tallies(self) -> Tallies:
        """Return how often jobs waited and attempts ended, and how long that took."""
        return read_tallies(self._connection)

    def keep_log(self, job_id: str, token: int, head: bytes, left_out: int, tail: bytes) -> None:
        """Keep what the trainer wrote so far, in place of what was kept before.

        Raises:
            LeaseLost: another attempt owns the job, or it has ended; nothing is written.
        """
        if self._connection.scalar(select(Job.id).where(*held(job_id, token))) is None:
            raise LeaseLost(job_id, token)
        values = {"head": head, "left_out": left_out, "tail": tail}
        kept = self._connection.scalar(
            update(TrainerLog)
            .where(TrainerLog.job_id == job_id, TrainerLog.attempt == token)
            .values(**values)
            .returning(TrainerLog.attempt)
        )
        if kept is None:
            self._connection.execute(
                insert(TrainerLog).values(job_id=job_id, attempt=token, **values)
            )

    def trainer_log(
        self, job_id: str, *, attempt: int | None = None, before: int | None = None
    ) -> KeptLog | None:
        """Return what is kept of one attempt, or of the newest before another; None: there is none.

        An attempt whose trainer has written nothing yet has an empty one.
        """
        self._require(job_id)
        statement = (
            select(
                Attempt.attempt,
                Attempt.worker,
                Attempt.status,
                Attempt.reason,
                Attempt.started_at,
                func.coalesce(TrainerLog.head, b""),
                func.coalesce(TrainerLog.left_out, 0),
                func.coalesce(TrainerLog.tail, b""),
            )
            .join(
                TrainerLog,
                (TrainerLog.job_id == Attempt.job_id) & (TrainerLog.attempt == Attempt.attempt),
                isouter=True,
            )
            .where(Attempt.job_id == job_id)
            .order_by(Attempt.attempt.desc())
            .limit(1)
        )
        if attempt is not None:
            statement = statement.where(Attempt.attempt == attempt)
        if before is not None:
            statement = statement.where(Attempt.attempt < before)
        row = self._session.execute(statement).one_or_none()
        return KeptLog._make(row) if row else None
