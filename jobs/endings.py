"""How an attempt ends: the job is settled for good, or released for another attempt."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, insert, update

from jobs.artifacts import Delivery
from jobs.errors import LeaseLost
from jobs.journal import LONGEST_WAIT_SECONDS, Journal, held
from jobs.moments import clock
from jobs.states import AttemptStatus, Status, Verb, advance
from jobs.tables import Artifact, Attempt, Job
from jobs.tallies import ATTEMPT, tally
from kdcore.errors import KdcoreError

MAX_STALLED = 3
NOT_ITS_FAULT = frozenset({"lost", "preempted"})
PAUSED = "paused"
"""Reason of an attempt that ended because a client wanted the job paused."""
_WORDS = """
finished cancelled paused preempted lost crashed hang deadline_exceeded broken_story cannot_start
cannot_deliver artifact_refused disk_full store_unavailable store_misconfigured out_of_memory failed
"""
REASONS = frozenset(_WORDS.split()) | {kind.code for kind in KdcoreError.__subclasses__()}
"""Every word that an attempt can end with."""
_END = {
    Status.SUCCEEDED: (Verb.SUCCEED, AttemptStatus.SUCCEEDED),
    Status.FAILED: (Verb.FAIL, AttemptStatus.FAILED),
    Status.CANCELLED: (Verb.STOP, AttemptStatus.CANCELLED),
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job, or an attempt, failed."""

    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt's process ended."""

    reason: str
    """A stable word: `finished`, `cancelled`, `crashed`, `preempted`, `hang`, …"""
    failure: Failure | None = None
    exit_code: int | None = None
    signal: int | None = None


class Endings(Journal):
    """The last words of an attempt, fenced like all others."""

    def attach(self, job_id: str, token: int, delivery: Delivery, location: str) -> None:
        """Record a file that is already in the store; a file of the same name is replaced.

        Raises:
            LeaseLost: the token is stale; nothing is written.
        """
        self._owned(job_id, token)
        same = Artifact.job_id == job_id, Artifact.name == delivery.name
        self._discard(*same, Artifact.attempt != token)
        self._session.execute(delete(Artifact).where(*same))
        self._session.execute(
            insert(Artifact).values(
                job_id=job_id,
                name=delivery.name,
                attempt=token,
                kind=delivery.kind,
                size_bytes=delivery.size_bytes,
                sha256=delivery.sha256,
                media_type=delivery.media_type,
                location=location,
                created_at=clock(),
            )
        )

    def settle(  # noqa: PLR0913  # all that an end consists of, by name
        self,
        job_id: str,
        token: int,
        status: Status,
        ending: Ending,
        *,
        verdict: Mapping[str, Any] | None = None,
        deliveries: Sequence[tuple[Delivery, str]] = (),
    ) -> None:
        """End the job for good: succeeded, failed or cancelled; files come with their locations.

        Settling again in the same way, after an answer was lost, changes nothing.

        Raises:
            LeaseLost: the token is stale, or the job ended otherwise; nothing is written.
        """
        verb, outcome = _END[status]
        try:
            job = self._owned(job_id, token)
        except LeaseLost:
            row = self._attempt(job_id, token)
            if row is None or (row.status, row.reason) != (outcome, ending.reason):
                raise
            return
        for delivery, location in deliveries:
            self.attach(job_id, token, delivery, location)
        values = self._result(token, status, ending, verdict)
        if self._move(verb, Status(job.status), *held(job_id, token), **values) is None:
            raise LeaseLost(job_id, token)
        if status is Status.SUCCEEDED:
            # An earlier, cancelled attempt may have left files; the result is one attempt's alone.
            self._discard(Artifact.job_id == job_id, Artifact.attempt != token)
        self._end_attempt(job_id, token, outcome, ending)
        self._append(job_id, [(f"job.{status}", values["failure"] or {})], token)

    def release(  # noqa: PLR0913  # all that a release consists of, by name
        self,
        job_id: str,
        token: int,
        ending: Ending,
        *,
        counted: bool,
        retry_seconds: float,
        ended_at: datetime | None = None,
    ) -> Status:
        """Let go of a job that is not done, and return where it went.

        Usually back to `queued`. A counted attempt makes the wait longer, and the job fails when no
        attempts are left or three in a row got no further. A job that the client wanted cancelled
        or paused is that now, and its attempt never counts. An attempt whose end nobody saw has
        `ended_at`. Releasing again, after an answer was lost, changes nothing.

        Raises:
            LeaseLost: the token is stale; nothing is written.
        """
        try:
            job = self._owned(job_id, token)
        except LeaseLost:
            row = self._attempt(job_id, token)
            if row is None or row.reason != ending.reason:
                raise
            return Status(self.get(job_id).status)
        counted = counted and job.status == Status.RUNNING
        failed = job.failed_attempts + counted
        stalled = 0 if job.progressed_attempt == token else job.stalled_attempts + counted
        if counted:
            failure = _no_more_attempts(job, failed, stalled, ending)
            if failure is not None:
                self.settle(job_id, token, Status.FAILED, replace(ending, failure=failure))
                self._date(job_id, token, ended_at)
                return Status.FAILED
        target = advance(Status(job.status), Verb.RELEASE)
        wait = min(retry_seconds * 2 ** (failed - 1), LONGEST_WAIT_SECONDS) if counted else 0.0
        self._move(
            Verb.RELEASE,
            Status(job.status),
            *held(job_id, token),
            failed_attempts=failed,
            stalled_attempts=stalled,
            run_after=clock(wait),
            dispatched_at=None,
        )
        self._end_attempt(job_id, token, _released_as(target, ending), ending)
        self._date(job_id, token, ended_at)
        if target is not Status.QUEUED:
            self._append(job_id, [(f"job.{target}", {})], token)
        return target

    def _result(
        self, token: int, status: Status, ending: Ending, verdict: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        failure = {**asdict(ending.failure), "attempt": token} if ending.failure else None
        if status is not Status.SUCCEEDED:
            return {"failure": failure}
        return {
            "failure": None,
            "result_attempt": token,
            "verdict": dict(verdict) if verdict else None,
            "gates_passed": (verdict or {}).get("gates_passed"),
        }

    def _attempt(self, job_id: str, token: int) -> Attempt | None:
        return self._session.get(Attempt, (job_id, token), populate_existing=True)

    def _date(self, job_id: str, token: int, ended_at: datetime | None) -> None:
        """Put an attempt's end where it was, if that is known better than by this moment."""
        if ended_at is not None:
            before = Attempt.started_at > ended_at
            self._connection.execute(
                update(Attempt)
                .where(Attempt.job_id == job_id, Attempt.attempt == token)
                .values(ended_at=case((before, Attempt.started_at), else_=ended_at))
            )

    def _end_attempt(self, job_id: str, token: int, outcome: AttemptStatus, ending: Ending) -> None:
        moments = self._connection.execute(
            update(Attempt)
            .where(Attempt.job_id == job_id, Attempt.attempt == token)
            .values(
                status=outcome.value,
                ended_at=clock(),
                reason=ending.reason,
                exit_code=ending.exit_code,
                signal=ending.signal,
            )
            .returning(Attempt.started_at, Attempt.ended_at)
        ).one_or_none()
        if moments is not None:
            began, ended = moments
            took = ((ended or began) - began).total_seconds()
            tally(self._connection, ATTEMPT, took, f"{outcome.value}/{ending.reason}"[:96])
        told = {"outcome": outcome.value, "reason": ending.reason}
        self._append(job_id, [("attempt.ended", told)], token)


def _released_as(target: Status, ending: Ending) -> AttemptStatus:
    if target is Status.CANCELLED:
        return AttemptStatus.CANCELLED
    if ending.reason == PAUSED:
        # Also where the client has taken the pause back meanwhile.
        return AttemptStatus.PAUSED
    return AttemptStatus.LOST if ending.reason in NOT_ITS_FAULT else AttemptStatus.FAILED


def _no_more_attempts(job: Job, failed: int, stalled: int, ending: Ending) -> Failure | None:
    if stalled >= MAX_STALLED:
        code = "crash_loop"
        found = f"{stalled} attempts in a row ended before they saved anything new"
    elif failed >= job.max_attempts:
        code = "attempts_exhausted"
        found = (
            f"{failed} attempts ended before the run did, and max_attempts is {job.max_attempts}"
        )
    else:
        return None
    # A cause that is known is more use than the count of its effects.
    return ending.failure or Failure(
        code,
        f"{found}; the last one: {ending.reason}",
        hint="see the attempts and the trainer's log, then POST …/retry",
    )
