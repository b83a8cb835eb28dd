"""Jobs: submit, list, get."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response

from api import telling, views
from api.answers import problems, send, send_content, unless_known
from api.bodies import Body
from api.checks import labels_of
from api.dependencies import JobId, Ledger, SentBody, Visit
from api.downloads import matches
from api.examples import SUBMIT_BODY
from api.pagination import decode, encode
from api.preflights import KnownPreflight, known_preflight, preflight_question
from api.references import Resolved, resolved
from api.schemas import Job, JobStatus, JobSummary, ListBody
from api.specs import spec_of
from api.submitting import DryRun, IdempotencyKey, created, store_once
from jobs.errors import JobNotFound
from jobs.ids import JOB_ID
from jobs.spec import JobSpec
from jobs.states import Status
from jobs.submission import Submission

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

MAX_WAIT_SECONDS: Final = 60
_WAIT: Final = re.compile(r"(?:^|[,;]\s*)wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)
Text = Annotated[str | None, Query(max_length=200)]


@router.post(
    "",
    operation_id="submit_job",
    status_code=201,
    response_model=Job,
    openapi_extra={"requestBody": SUBMIT_BODY},
    responses={
        200: {"description": "With `dry_run`: the spec would be accepted", "model": DryRun},
        201: created("The job was stored and waits for a worker."),
    }
    | problems(404, 410, 413, 415, 422, 429),
)
async def submit_job(
    visit: Ledger,
    body: SentBody,
    dry_run: Annotated[bool, Query(description="Only say whether it would be accepted")] = False,
    cloned_from: Annotated[
        str | None, Query(description="Id of the job whose spec was edited into this one")
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Store a job; a worker trains it as soon as one is free."""
    if not dry_run:
        return await submit(visit, body, idempotency_key, cloned_from=cloned_from)
    spec, sent, _ = await spec_of(visit, body)
    named = await resolved(visit, spec)
    recipe = json.loads(named.recipe) if named.recipe else spec.recipe().model_dump(mode="json")
    preflight = await run_in_threadpool(_preflight, visit, spec, named)
    return send(DryRun(spec=sent, recipe=recipe, preflight=preflight))


def _preflight(visit: Visit, spec: JobSpec, named: Resolved) -> KnownPreflight:
    with visit.reading() as repository:
        return known_preflight(repository.known_inspection(preflight_question(spec, named)))


async def submit(
    visit: Visit, body: Body, idempotency_key: str | None, *, cloned_from: str | None = None
) -> Response:
    """Store what a body says, once for each key, and tell the job.

    Raises:
        JobNotFound: there is no job that it could be cloned from.
    """
    spec, sent, recipe = await spec_of(visit, body)
    if cloned_from is not None:
        await run_in_threadpool(_require, visit, cloned_from)

    async def make(
        *, idempotency_key: str | None = None, body_sha256: str | None = None
    ) -> Submission:
        named = await resolved(visit, spec, recipe)
        submission = visit.submission(
            spec,
            sent,
            idempotency_key=idempotency_key,
            body_sha256=body_sha256,
            recipe=named.recipe,
        )
        if cloned_from is not None:
            submission = replace(submission, cloned_from=cloned_from)
        return named.noted_in(submission)

    request = sent if cloned_from is None else {"cloned_from": cloned_from, "spec": sent}
    return await store_once(visit, idempotency_key, request, make)


def _require(visit: Visit, job_id: str) -> None:
    if not JOB_ID.fullmatch(job_id):
        raise JobNotFound(job_id[:80])
    with visit.reading() as repository:
        repository.get(job_id)


@router.get(
    "", operation_id="list_jobs", response_model=ListBody[JobSummary], responses=problems(422)
)
def list_jobs(  # noqa: PLR0913, PLR0917 - FastAPI passes by name
    request: Request,
    visit: Ledger,
    status: Annotated[list[JobStatus] | None, Query(description="Any of these")] = None,
    label: Annotated[
        list[str] | None, Query(description="All of these: `key=value`, or `key` with any value")
    ] = None,
    teacher: Text = None,
    student: Text = None,
    method: Text = None,
    q: Annotated[
        str | None, Query(max_length=200, description="Part of a name or id, or a whole id")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> Response:
    """Return jobs, the newest first; without `spec`, `recipe` and `verdict`, which each job has.

    Under several filters, or with `q`, one page looks at 10,000 jobs at most: it may hold fewer
    than `limit`, or none, and still have more behind its `next_cursor`.
    """
    position = decode("jobs", after, JOB_ID) if after is not None else None
    labels = labels_of(label or [])
    with visit.reading() as repository:
        page = repository.list(
            status=[Status(name) for name in status or ()],
            labels=labels,
            teacher=teacher,
            student=student,
            method=method,
            q=q,
            limit=limit,
            after=position,
        )
        body = ListBody[JobSummary](
            data=[views.summary(job) for job in page.items],
            has_more=page.next_after is not None,
            next_cursor=encode("jobs", page.next_after) if page.next_after else None,
        )
    return unless_known(send(body), request.headers)


@router.get(
    "/{job_id}",
    operation_id="get_job",
    response_model=Job,
    responses={304: {"description": "Nothing has changed since the answer with this ETag"}}
    | problems(404, 410),
)
async def get_job(
    request: Request,
    visit: Ledger,
    job_id: JobId,
    prefer: Annotated[
        str | None,
        Header(description="`wait=30` holds the answer back until the job changes, 60 s at most"),
    ] = None,
) -> Response:
    """Return a job. With `Prefer: wait` it waits while the job is as `If-None-Match` says it was.

    Without `If-None-Match`, it waits for the first change; a job that has ended is told at once.
    """
    terminal, response = await read(visit, job_id)
    seconds = _wait_seconds(prefer)
    if seconds is None:
        return unless_known(response, request.headers)
    first = response.headers["etag"]
    known = request.headers.get("if-none-match")
    if not terminal and (known is None or matches(known, first)):
        async with contextlib.aclosing(visit.tower.changes(job_id, seconds)) as changes:
            async for _ in changes:
                if not await visit.is_welcome():
                    break
                terminal, response = await read(visit, job_id)
                if terminal or response.headers["etag"] != first:
                    break
    answer = unless_known(response, request.headers)
    answer.headers["Preference-Applied"] = f"wait={seconds}"
    return answer


async def read(visit: Visit, job_id: str, asked: Headers | None = None) -> tuple[bool, Response]:
    """Return whether a job has ended, and what is told of it; 304 where `asked` knows that.

    Raises:
        JobNotFound: there is no such job.
    """
    row = await visit.row(job_id)
    answer = send_content(telling.full(row))
    return telling.is_terminal(row), unless_known(answer, asked) if asked else answer


def _wait_seconds(prefer: str | None) -> int | None:
    """Return the seconds of `Prefer: wait`; what is no such preference is left aside (RFC 7240)."""
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), MAX_WAIT_SECONDS) if found else None
