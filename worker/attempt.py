"""One attempt, from the claim to its end: furnish, follow the trainer, deliver, settle.

It knows no Celery. What the client wants meanwhile, a worker that shuts down, a deadline or a
silence make it stop the trainer; everything that it writes carries the fencing token.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.artifacts import ArtifactStore, Delivery
from jobs.database import Database
from jobs.endings import PAUSED, Ending, Failure
from jobs.errors import ArtifactRefused, JobError, LeaseLost, StoreFull, StoreUnavailable
from jobs.input_errors import HubRefused, HubUnreachable, InputDamaged, InputMissing
from jobs.leases import Claim, Wish
from jobs.logs import bind
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.states import Status
from kdcore.cores import usable_cores
from kdcore.errors import DataError
from worker.child import TRAINER, BrokenStoryError, Child
from worker.conclusion import (
    BROKEN_STORY,
    CANCELLED,
    HANG,
    OVERDUE,
    PREEMPTED,
    Conclusion,
    conclude,
)
from worker.delivery import deliver, still_there
from worker.furnishing import furnished
from worker.heart import Heart
from worker.keeper import Keeper
from worker.patience import insist
from worker.report import Report
from worker.tracing import AttemptTrace
from worker.trainer_log import TrainerLog
from worker.verifying import InVain
from worker.workdir import prepare_workdir

TICK_SECONDS = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Runs attempts, each in a child process; one object serves all slots."""

    settings: Settings
    database: Database
    store: ArtifactStore
    draining: threading.Event
    """Set when the worker shuts down: attempts save and go back to the queue."""
    command: Sequence[str] = TRAINER
    """What is run as the child."""
    keeper: Keeper | None = None
    """Who has children forked, where that is possible."""

    def run(self, claim: Claim) -> None:
        """Run a claimed job to the attempt's end, whatever it is; never raises.

        The calling thread must live on until it returns: a cold child dies with the thread.
        """
        request_id = claim.origin.get("request_id")
        bind(job_id=claim.job_id, attempt=claim.attempt, request_id=request_id)
        log.info("attempt %d of %s begins", claim.attempt, claim.job_id)
        try:
            with (
                Heart(self.database, claim, self.settings.lease_seconds) as heart,
                AttemptTrace(claim) as trace,
            ):
                _Attempt(self, claim, heart, trace).run()
        except LeaseLost as error:
            log.warning("%s", error)
        except Exception:
            # The lease runs out, and the job is taken up again by a sweeper.
            log.exception("attempt %d of %s was given up", claim.attempt, claim.job_id)
        finally:
            bind(job_id=None, attempt=None, request_id=None)


class _Attempt:
    def __init__(
        self, supervisor: Supervisor, claim: Claim, heart: Heart, trace: AttemptTrace
    ) -> None:
        self._settings = supervisor.settings
        self._database = supervisor.database
        self._store = supervisor.store
        self._draining = supervisor.draining
        self._command = supervisor.command
        self._keeper = supervisor.keeper
        self._claim = claim
        self._heart = heart
        self._trace = trace
        self._report = Report(self._database, claim, trace.hear)
        self._log = TrainerLog(self._database, claim)
        self._stopped: str | None = None
        self._kill_at: float | None = None
        limit = claim.max_runtime_seconds
        self._overdue_at = (
            claim.claimed_at + limit - claim.used_seconds if limit is not None else None
        )

    def run(self) -> None:
        claim = self._claim
        try:
            workdir = prepare_workdir(
                self._settings.work, claim.job_id, claim.attempt, claim.resume_from
            )
            with furnished(
                claim.inputs, workdir, self._settings, self._store, self._is_in_vain
            ) as inputs:
                code = self._train(workdir, inputs)
        except (InputMissing, InputDamaged, HubRefused, DataError) as error:
            failure = Failure(error.code, str(error), error.hint)
            self._settle(Status.FAILED, Ending(error.code, failure))
            return
        except StoreUnavailable as error:
            self._release(_failed(error), counted=False)
            return
        except HubUnreachable as error:
            self._release(_failed(error), counted=True)
            return
        except InVain:
            # Whatever it was for: a release knows what the client wants.
            self._release(Ending(PREEMPTED), counted=False)
            return
        except OSError as error:
            failure = Failure("cannot_start", f"the attempt could not be started: {error}")
            self._release(Ending("cannot_start", failure), counted=True)
            return
        self._report.flush(in_vain=self._heart.lost.is_set)
        self._log.keep(in_vain=self._heart.lost.is_set)
        self._end(conclude(code, self._stopped, self._report), workdir)

    def _train(self, workdir: Path, inputs: Path) -> int:
        """Run the child to its end; return its exit code, or minus the signal."""
        order = {
            "recipe": self._claim.recipe,
            "workdir": str(workdir),
            "inputs": str(inputs),
            "teacher_caches": str(self._settings.teacher_caches),
            "teacher_cache_bytes": self._settings.teacher_cache_bytes,
            # Two trainers with as many threads as cores are slower than one after the other.
            "max_threads": max(1, usable_cores() // self._settings.slots),
        }
        with Child(self._command, order, workdir, self._keeper, self._log.take) as child:
            self._report.is_warm = child.is_warm
            try:
                self._follow(child)
            except BrokenStoryError as error:
                log.warning("the trainer of %s: %s", self._claim.job_id, error)
                self._stop(child, BROKEN_STORY, at_once=True)
            return child.wait(self._settings.stop_seconds)

    def _follow(self, child: Child) -> None:
        while (lines := child.lines(TICK_SECONDS)) is not None:
            for line in lines:
                self._report.take(line)
            told = self._report.flush_if_due()
            self._log.keep_if_due()
            self._heed(child, told)

    def _heed(self, child: Child, told: Wish | None) -> None:
        """Stop the trainer if anybody wants that, or if it has been too long."""
        now = time.monotonic()
        if self._heart.lost.is_set():
            child.kill()
            raise LeaseLost(self._claim.job_id, self._claim.attempt)
        cancel = (told and told.cancel) or self._heart.wish.cancel
        if cancel:
            self._stop(child, CANCELLED, at_once=cancel == "now")
        elif (told and told.pause) or self._heart.wish.pause:
            self._stop(child, PAUSED)
        elif self._draining.is_set():
            self._stop(child, PREEMPTED)
        elif self._overdue_at is not None and now > self._overdue_at:
            self._stop(child, OVERDUE)
        elif now - self._report.heard_at > self._settings.hang_seconds:
            self._stop(child, HANG, at_once=True)
        if self._kill_at is not None and now > self._kill_at:
            child.kill()

    def _stop(self, child: Child, reason: str, *, at_once: bool = False) -> None:
        """Ask the child to stop, once; only a cancel may change the reason."""
        if self._stopped is None or (reason == CANCELLED and self._stopped != CANCELLED):
            log.info("stopping the trainer of %s: %s", self._claim.job_id, reason)
            self._stopped = reason
            self._kill_at = time.monotonic() + self._settings.stop_seconds
            child.ask_to_stop()
        if at_once:
            child.kill()

    def _end(self, conclusion: Conclusion, workdir: Path) -> None:
        ending, deliveries = conclusion.ending, list[tuple[Delivery, str]]()
        self._trace.conclude(ending.reason, failed=ending.failure is not None)
        if conclusion.status is None:
            self._release(ending, counted=conclusion.counted)
            return
        if conclusion.delivers:
            try:
                deliveries = self._deliver(workdir)
            except (ArtifactRefused, StoreFull, StoreUnavailable, OSError) as error:
                log.warning("the files of %s: %s", self._claim.job_id, error)
                if conclusion.status is Status.SUCCEEDED:
                    # The job is done but for its files: a store that is away costs it no attempt.
                    is_away = isinstance(error, StoreUnavailable)
                    self._release(_failed(error), counted=not is_away)
                    return
        self._settle(conclusion.status, ending, deliveries)
        if conclusion.status is Status.SUCCEEDED:
            # Only now: until the commit, and after any other end, a later attempt may need it.
            shutil.rmtree(self._settings.work / self._claim.job_id, ignore_errors=True)

    def _deliver(self, workdir: Path) -> list[tuple[Delivery, str]]:
        announced = {**still_there(workdir, self._claim.announced), **self._report.announced}
        return deliver(
            self._store,
            self._claim,
            workdir,
            announced.values(),
            in_vain=lambda: bool(
                self._heart.lost.is_set() or self._heart.wish.cancel or self._draining.is_set()
            ),
        )

    def _is_in_vain(self) -> bool:
        """Tell whether the trainer would be stopped as soon as it began."""
        wish = self._heart.wish
        return bool(
            self._heart.lost.is_set() or wish.cancel or wish.pause or self._draining.is_set()
        )

    def _settle(
        self, status: Status, ending: Ending, deliveries: Sequence[tuple[Delivery, str]] = ()
    ) -> None:
        self._write(
            lambda ledger: ledger.settle(
                self._claim.job_id,
                self._claim.attempt,
                status,
                ending,
                verdict=self._report.verdict,
                deliveries=deliveries,
            )
        )
        log.info("%s %s", self._claim.job_id, status)

    def _release(self, ending: Ending, *, counted: bool) -> None:
        self._write(
            lambda ledger: ledger.release(
                self._claim.job_id,
                self._claim.attempt,
                ending,
                counted=counted,
                retry_seconds=self._settings.retry_seconds,
            )
        )
        log.info("%s was released: %s", self._claim.job_id, ending.reason)

    def _write(self, write: Callable[[Repository], object]) -> None:
        insist(self._database, write, in_vain=self._heart.lost.is_set)


def _failed(error: Exception) -> Ending:
    code = error.code if isinstance(error, JobError) else "cannot_deliver"
    hint = getattr(error, "hint", None)
    return Ending(code, Failure(code, str(error), hint))
