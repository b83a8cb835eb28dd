"""What becomes of a job when its trainer has ended, by exit code and by what it was stopped for."""

from dataclasses import dataclass
from typing import Final

from jobs.endings import PAUSED, Ending, Failure
from jobs.states import Status
from worker.report import Report
from worker.trainer import FINISHED, REFUSED, STOPPED

CANCELLED: Final = "cancelled"
PREEMPTED: Final = "preempted"
OVERDUE: Final = "deadline_exceeded"
HANG: Final = "hang"
BROKEN_STORY: Final = "broken_story"
CRASHED: Final = "crashed"

RETRYABLE = frozenset({"disk_full", "process_lost"})
"""What an engine refuses with that may be different at the next attempt."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Either the job's end, or (without a status) its return to the queue."""

    status: Status | None
    ending: Ending
    counted: bool = True
    """Whether a released attempt counts against the job."""
    delivers: bool = False
    """Whether files that the trainer announced are kept."""


def conclude(  # noqa: PLR0911  # one return a way to end
    code: int, stopped: str | None, report: Report
) -> Conclusion:
    """Decide, from an exit code (or minus a signal) and the reason for stopping the trainer."""

    def ending(reason: str, failure: Failure | None = None) -> Ending:
        exit_code, signal = (code, None) if code >= 0 else (None, -code)
        return Ending(reason, failure, exit_code, signal)

    if stopped == BROKEN_STORY:
        # Whatever its exit code says: a part of its story is missing.
        return Conclusion(None, ending(BROKEN_STORY))
    if code == FINISHED and report.finished:
        return Conclusion(Status.SUCCEEDED, ending("finished"), delivers=True)
    if code == REFUSED and report.failure:
        told = report.failure
        failure = Failure(told["code"], told["message"], told["hint"])
        status = None if failure.code in RETRYABLE else Status.FAILED
        return Conclusion(status, ending(failure.code, failure))
    if stopped == CANCELLED:
        return Conclusion(Status.CANCELLED, ending(CANCELLED), delivers=code == STOPPED)
    if stopped in {PREEMPTED, PAUSED}:
        return Conclusion(None, ending(stopped), counted=False)
    if stopped == OVERDUE:
        failure = Failure(
            OVERDUE,
            "the attempts together ran for as long as max_runtime_seconds allows",
            hint="POST …/retry goes on from the last checkpoint with the same time again, or with"
            " another max_runtime_seconds",
        )
        return Conclusion(Status.FAILED, ending(OVERDUE, failure))
    return Conclusion(None, ending(stopped or CRASHED))
