"""A new job, stored once for each idempotency key, however it came about."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Protocol

from fastapi import Header
from pydantic import JsonValue
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import schemas, telling
from api.answers import send_content
from api.checks import fault
from api.dependencies import Visit
from api.preflights import KnownPreflight
from api.problems import PayloadProblem
from api.schemas import FieldError
from jobs.database import Written, dump_json
from jobs.errors import IdempotencyKeyTaken
from jobs.input_errors import InputNotFound
from jobs.keyed import JobRow
from jobs.logs import bind, bound
from jobs.repeats import CAME_AGAIN
from jobs.submission import Submission
from jobs.traces import traceparent

_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
IdempotencyKey = Annotated[
    str | None, Header(description="Sending the same body again under one key makes one job")
]


class DryRun(schemas.Body):
    """What would have been accepted."""

    object: Literal["dry_run"] = "dry_run"
    valid: Literal[True] = True
    spec: dict[str, JsonValue]
    recipe: dict[str, JsonValue]
    preflight: KnownPreflight
    """Of the same recipe: what a job would fail of once its data is read, and what it takes."""


class Make(Protocol):
    """Works out what is to be stored."""

    def __call__(
        self, *, idempotency_key: str | None = None, body_sha256: str | None = None
    ) -> Awaitable[Submission]:
        """Return it, with the key that it is stored under."""
        ...


class Tell(Protocol):
    """Tells a job to whoever has posted it."""

    def __call__(
        self, row: JobRow, *, replayed: bool = False, after: BackgroundTask | None = None
    ) -> Response:
        """Return the answer; `replayed` where it was given before, `after` runs once it is sent."""
        ...


def created(description: str) -> dict[str, Any]:
    """Return OpenAPI's words for the answer that tells a new job."""
    return {
        "description": description,
        "headers": {
            "Location": {"schema": {"type": "string"}, "description": "Path of the job"},
            "Idempotent-Replayed": {
                "schema": {"type": "string"},
                "description": "`true` where the key was used before; this is the first answer",
            },
        },
    }


def usable_key(key: str) -> None:
    """Refuse what cannot be an idempotency key.

    Raises:
        PayloadProblem: it is empty, too long, or holds other than visible ASCII characters.
    """
    if not _KEY.fullmatch(key):
        raise fault(
            "invalid_idempotency_key",
            f"header Idempotency-Key: found {len(key)} characters;"
            " expected 1 to 255 visible ASCII characters",
            parameter="Idempotency-Key",
        )


def reused(by: str) -> PayloadProblem:
    """Return the refusal of a key that came with another request before."""
    return fault(
        "idempotency_key_reused",
        f"the idempotency key was used for {by} with another body",
        parameter="Idempotency-Key",
        hint="use a new key for a new body",
    )


def digest(request: object) -> str:
    """Return the sha256 of JSON's values, in whatever order they came."""
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def as_job(row: JobRow, *, replayed: bool = False, after: BackgroundTask | None = None) -> Response:
    """Return the answer to a new job."""
    headers = {"Location": f"/v1/jobs/{row.id}"}
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    return send_content(telling.full(row), 201, headers=headers, after=after)


async def store_once(
    visit: Visit, key: str | None, request: object, make: Make, tell: Tell = as_job
) -> Response:
    """Store a new job and tell it; where the same request came under the key before, tell that.

    `request` is what must be the same: JSON's values, in whatever order.

    Raises:
        PayloadProblem: the key cannot be one, or came with another request.
    """
    if key is None:
        return await store(visit, await make(), tell)
    usable_key(key)
    sha256 = digest(request)
    row = await run_in_threadpool(_known, visit, key, sha256)
    if row is None:
        try:
            return await store(visit, await make(idempotency_key=key, body_sha256=sha256), tell)
        except IdempotencyKeyTaken:
            # The same request came twice at once, and the other one was first.
            row = await run_in_threadpool(_known, visit, key, sha256)
            if row is None:
                raise
    return tell(telling.as_created(row), replayed=True)


async def store(visit: Visit, submission: Submission, tell: Tell = as_job) -> Response:
    """Store a new job and tell it.

    Raises:
        PayloadProblem: an uploaded file is gone that was there a moment ago.
        ProjectFull: the project may not have another job waiting.
        IdempotencyKeyTaken: the key of the submission stands for another job.
    """
    try:
        row = await visit.house.submit(replace(submission, origin=_origin(submission)))
    except InputNotFound as error:
        raise PayloadProblem(
            [FieldError(pointer="", code=error.code, message=str(error), hint=error.hint)],
            code=error.code,
        ) from None
    visit.meters.submitted.inc()
    bind(job_id=row.id)  # for the log's line of this request
    # Ringing may wait a second for a broker that is away; the client need not.
    bell = BackgroundTask(visit.bell.ring, row.id) if visit.settings.rings else None
    return tell(row, after=bell)


def _origin(submission: Submission) -> Written:
    """Say which request a job came with, so that it is found in the logs, and in which trace."""
    came_again = submission.repeat is not None and submission.repeat.is_again
    told = {
        "request_id": bound("request_id"),
        "traceparent": traceparent(),
        CAME_AGAIN: came_again,
    }
    return dump_json({name: value for name, value in told.items() if value})


def _known(visit: Visit, key: str, sha256: str) -> JobRow | None:
    with visit.reading() as repository:
        found = repository.find_by_idempotency_key(key)
        if found is None:
            return None
        job_id, first_sha256 = found
        if first_sha256 != sha256:
            raise reused(f"job {job_id}")
        return repository.row(job_id)
