"""The one gate for status changes: which verb leads from which status to which.

queued ──claim──> running ──succeed──> succeeded      cancel: queued, paused -> cancelled
  ^                 │  │ └──fail─────> failed                 running, pausing -> cancelling
  └────release──────┘  └─cancel──> cancelling                 cancelling -> cancelled
                                                      pause:  queued -> paused
retry:  failed, cancelled -> queued                           running -> pausing -> paused
                                                      resume: paused -> queued, pausing -> running
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
    CLONE = "clone"
    DELETE = "delete"
    CLAIM = "claim"
    RELEASE = "release"
    SUCCEED = "succeed"
    FAIL = "fail"
    STOP = "stop"


TERMINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
"""A job here stays as it is, unless a client retries it."""
ACTIVE = frozenset({Status.RUNNING, Status.PAUSING, Status.CANCELLING})
"""A worker holds a lease on a job here, and only here."""
CLIENT_VERBS = (Verb.CANCEL, Verb.PAUSE, Verb.RESUME, Verb.RETRY, Verb.CLONE, Verb.DELETE)
"""What a client can ask for."""

FULFILLED: Mapping[Verb, frozenset[Status]] = MappingProxyType(
    {
        Verb.CANCEL: frozenset({Status.CANCELLED}),
        Verb.PAUSE: frozenset({Status.PAUSING, Status.PAUSED}),
        Verb.RESUME: frozenset({Status.QUEUED, Status.RUNNING}),
    }
)
"""Where what a verb wants is so already: asking again is no error, and changes nothing."""

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
        Verb.PAUSE: {Status.QUEUED: Status.PAUSED, Status.RUNNING: Status.PAUSING},
        # Whose worker has heard of the pause already stops, and is back in the queue at once.
        Verb.RESUME: {Status.PAUSED: Status.QUEUED, Status.PAUSING: Status.RUNNING},
        # These two move nothing: they stand where they are allowed.
        Verb.CLONE: {status: status for status in Status},
        Verb.DELETE: {status: status for status in Status if status not in ACTIVE},
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
