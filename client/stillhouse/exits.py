"""Exit codes, fit for CI: each says what the next step may do."""

from __future__ import annotations

from typing import Final

from stillhouse.bodies import Job
from stillhouse.errors import (
    ApiError,
    SpecError,
    StillhouseError,
    Unreachable,
    WaitTimedOut,
)

SUCCEEDED: Final = 0
FAILED: Final = 1
USAGE: Final = 2
GATES_NOT_MET: Final = 3
CANCELLED: Final = 4
UNREACHABLE: Final = 69
PAUSED: Final = 75
TIMED_OUT: Final = 124
INTERRUPTED: Final = 130

HELP: Final = (
    "Exit codes: 0 succeeded and gates passed · 1 failed · 2 usage or spec refused · "
    "3 gates not met · 4 cancelled · 69 server unreachable · 75 paused · 124 timed out · "
    "130 interrupted (the job goes on)"
)

_REFUSED: Final = frozenset({400, 401, 403, 404, 410, 413, 415, 422})


def of_job(job: Job) -> int:
    """What a job's end means for the calling script."""
    match job["status"]:
        case "succeeded":
            return GATES_NOT_MET if job["gates_passed"] is False else SUCCEEDED
        case "cancelled":
            return CANCELLED
        case "paused":
            return PAUSED
        case "failed":
            return FAILED
        case _:
            return TIMED_OUT


def of_error(error: StillhouseError) -> int:
    """What a failed command means for the calling script."""
    match error:
        case Unreachable():
            return UNREACHABLE
        case WaitTimedOut():
            return TIMED_OUT
        case SpecError():
            return USAGE
        case ApiError() if error.status in _REFUSED:
            return USAGE
        case _:
            return FAILED
