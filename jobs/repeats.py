"""Requests that come again without a key: their clients only say that they have sent them before.

The newest job of such a request bears a key that is made of the request itself. A first request
takes this key away from the job before it and makes another; one that comes again finds the job
that it has made already. All of it happens in the transaction that stores the job.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, select, text, update

from jobs.errors import IdempotencyKeyTaken
from jobs.moments import clock
from jobs.tables import Event, Job

if TYPE_CHECKING:
    from jobs.submission import Submission

CAME_AGAIN: Final = "came_again"
"""Says in a job's first event that it was made by a request that had been sent before."""
_LOCK_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Repeat:
    """What is known of a request that may be sent again without a key."""

    is_again: bool
    """Whether its client has sent it before."""
    since: float
    """The moment (`time.monotonic`) when its job was made at the earliest: when it can have been
    sent first, or else when it came here, since a repetition may have overtaken it."""

    @property
    def seconds(self) -> float:
        """How long ago that was."""
        return time.monotonic() - self.since


def standing_for(connection: Connection, digest: str, repeat: Repeat) -> str | None:
    """Return the id of the job that a request has made already, if it has; `digest` is its key's.

    To a first request this can only be a job that its own repetition has made since it came.
    """
    found = connection.execute(
        select(Job.id, Event.data)
        .join(Event, (Event.job_id == Job.id) & (Event.seq == 1))
        .where(Job.idempotency_key == digest, Job.created_at >= clock(-repeat.seconds))
    ).one_or_none()
    if found is None:
        return None
    job_id, origin = found
    return job_id if repeat.is_again or origin.get(CAME_AGAIN) else None


def make_way(connection: Connection, submissions: Sequence["Submission"]) -> None:
    """Take the keys of earlier jobs away for new ones; nobody else comes between.

    Raises:
        IdempotencyKeyTaken: a request has made its job already.
    """
    repeats = {str(one.key_digest): one for one in submissions if one.repeat is not None}
    for digest in sorted(repeats):  # in one order, lest two of us wait for each other
        one = repeats[digest]
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _lock(digest)})
        if one.repeat and standing_for(connection, digest, one.repeat) is not None:
            raise IdempotencyKeyTaken(str(one.idempotency_key))
        earlier = update(Job).where(Job.idempotency_key == digest)
        connection.execute(earlier.values(idempotency_key=None))


def _lock(digest: str) -> int:
    """Return PostgreSQL's number of the lock on a key."""
    head = hashlib.sha256(f"repeat {digest}".encode()).digest()[:_LOCK_BYTES]
    return int.from_bytes(head, "big", signed=True)
