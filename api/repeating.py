"""Posts of clients that send them again without a key, and say which try it is."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Annotated, Final

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response

from api import telling
from api.dependencies import Visit
from api.submitting import Make, Tell, digest, store
from jobs.errors import IdempotencyKeyTaken
from jobs.keyed import JobRow
from jobs.repeats import Repeat

TRY: Final = "x-stainless-retry-count"
PATIENCE: Final = "x-stainless-read-timeout"
"""How long the client waits for the answer to one try, in seconds."""
LEAST_SECONDS: Final = 60.0
MOST_SECONDS: Final = 3600.0
_NUMBER: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")


async def _now() -> float:
    return time.monotonic()


Arrived = Annotated[float, Depends(_now)]
"""When a request came, by this process's clock; asked for first, before the body is read."""


def repeat_of(headers: Headers, arrived: float) -> Repeat | None:
    """Return what a client says of a request that it would send again; None where it says nothing.

    The first try of a request that comes again can be as old as the client has waited for answers.
    """
    tries = _number(headers.get(TRY))
    if tries is None:
        return None
    if not tries:
        return Repeat(is_again=False, since=arrived)
    waited = tries * (_number(headers.get(PATIENCE)) or 0)
    return Repeat(is_again=True, since=arrived - min(LEAST_SECONDS + waited, MOST_SECONDS))


async def store_repeatable(
    visit: Visit, repeat: Repeat, request: object, make: Make, tell: Tell
) -> Response:
    """Store a new job and tell it; where the request has made its job already, tell that.

    `request` is what is the same when it comes again: JSON's values, in whatever order.

    Raises:
        ProjectFull: the project may not have another job waiting.
    """
    sha256 = digest(request)
    # No key that a client sends has spaces in it.
    key = f"repeated {visit.caller.author.key_id} {sha256}"
    row = None
    if repeat.is_again:
        row = await run_in_threadpool(_made, visit, key, repeat)
    if row is None:
        try:
            made = await make(idempotency_key=key, body_sha256=sha256)
            return await store(visit, replace(made, repeat=repeat), tell)
        except IdempotencyKeyTaken:
            row = await run_in_threadpool(_made, visit, key, repeat)
            if row is None:
                raise
    return tell(telling.as_created(row), replayed=True)


def _made(visit: Visit, key: str, repeat: Repeat) -> JobRow | None:
    with visit.reading() as repository:
        return repository.find_made(key, repeat)


def _number(said: str | None) -> float | None:
    """Return a number of seconds or tries; None where it is none."""
    return float(said) if said and _NUMBER.fullmatch(said) else None
