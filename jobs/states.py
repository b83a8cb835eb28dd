"""The one gate for status changes: which verb leads from which status to which.

queued ──claim──> running ──succeed──> succeeded      cancel: queued, paused -> cancelled
  ^                 │  │ └──fail─────> failed                 running -> cancelling -> cancelled
  └────release──────┘  └─cancel──> cancelling         retry:  failed, cancelled -> queued
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from jobs.errors import IllegalTransition


class Status(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AttemptStatus(StrEnum):
    """How one attempt is going, or how it ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    LOST = "lost"


class Verb(StrEnum):
    """What can be done to a job; `CLIENT_VERBS` are a client's, the others a worker's."""

    CANCEL = "cancel"
    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"
    CLAIM = "claim"
    RELEASE = "release"
    SUCCEED = "succeed"
    FAIL = "fail"
    STOP = "stop"


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
"""A job here stays as it is, unless a client retries it."""
ACTIVE = frozenset({Status.RUNNING, Status.PAUSING, Status.CANCELLING})
"""A worker holds a lease on a job here, and only here."""
CLIENT_VERBS = (Verb.CANCEL, Verb.RETRY)
"""What a client can ask for; `pause` and `resume` have no route yet."""

TRANSITIONS: Mapping[Verb, Mapping[Status, Status]] = MappingProxyType(
    {
        Verb.CANCEL: {
            Status.QUEUED: Status.CANCELLED,
            Status.PAUSED: Status.CANCELLED,
            Status.RUNNING: Status.CANCELLING,
            Status.PAUSING: Status.CANCELLING,
            Status.CANCELLING: Status.CANCELLING,
        },
        Verb.RETRY: {Status.FAILED: Status.QUEUED, Status.CANCELLED: Status.QUEUED},
        Verb.PAUSE: {
            Status.QUEUED: Status.PAUSED,
            Status.RUNNING: Status.PAUSING,
            Status.PAUSING: Status.PAUSING,
        },
        Verb.RESUME: {Status.PAUSED: Status.QUEUED},
        Verb.CLAIM: {Status.QUEUED: Status.RUNNING},
        # The worker lets go; what the client wanted meanwhile decides where the job goes.
        Verb.RELEASE: {
            Status.RUNNING: Status.QUEUED,
            Status.PAUSING: Status.PAUSED,
            Status.CANCELLING: Status.CANCELLED,
        },
        # A run that ends before the client's wish reaches it keeps its true end.
        Verb.SUCCEED: dict.fromkeys(ACTIVE, Status.SUCCEEDED),
        Verb.FAIL: dict.fromkeys(ACTIVE, Status.FAILED),
        Verb.STOP: {Status.CANCELLING: Status.CANCELLED},
    }
)


def advance(status: Status, verb: Verb) -> Status:
    """The status that the verb leads to.

    Raises:
        IllegalTransition: the verb does not fit the status; it names the client's verbs that do.
    """
    target = TRANSITIONS[verb].get(status)
    if target is None:
        raise IllegalTransition(status, verb, legal_verbs(status))
    return target


def legal_verbs(status: Status) -> list[Verb]:
    """The client's verbs that fit the status."""
    return [verb for verb in CLIENT_VERBS if status in TRANSITIONS[verb]]
