"""Sweeps: many trials of one spec, compared; and the search for a student."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from sqlalchemy.exc import IntegrityError
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import problems, send, unless_known
from api.cancel import Cancel
from api.checks import body_schema, checked
from api.dependencies import Ledger, SentBody, Visit
from api.pagination import decode, encode
from api.preflights import known_report
from api.problems import PayloadProblem
from api.schemas import FieldError, ListBody
from api.submitting import IdempotencyKey, created, reused, usable_key
from api.sweeps import Leaderboard, Resume, Sweep, SweepPlan, place_of, plan_of, planned, sweep_of
from jobs.candidates import NoStudentError, StudentSearch, as_sweep
from jobs.ids import SWEEP_ID
from jobs.repository import Repository
from jobs.spec import JobSpec
from jobs.sweep_errors import SweepNotFound
from jobs.sweep_spec import SweepSpec
from jobs.sweep_tables import Sweep as StoredSweep
from jobs.sweeps import NewSweep, new_sweep_id
from kdcore.data_report import DataReport

router = APIRouter(prefix="/v1/sweeps", tags=["sweeps"])

_Id = Annotated[str, Path(examples=["swp_01kaz3x2mcf4t6v8y0r2q4s6u8"])]
_DryRun = Annotated[bool, Query(description="Say what would be tried, and store nothing")]
_MADE: dict[int | str, dict[str, Any]] = {
    200: {"description": "It was checked alone (`dry_run`)", "model": SweepPlan},
    201: created("It was stored, and its first trials with it"),
}


@router.post(
    "",
    operation_id="create_sweep",
    status_code=201,
    response_model=Sweep,
    openapi_extra={"requestBody": body_schema(SweepSpec, required=True)},
    responses=_MADE | problems(413, 415, 422),
)
async def create_sweep(
    visit: Ledger,
    body: SentBody,
    idempotency_key: IdempotencyKey = None,
    dry_run: _DryRun = False,  # FastAPI passes by name
) -> Response:
    """Try a spec at many points; every one of them is checked before the first begins.

    Trials are ordinary jobs, with the label `sweep`. They share the teacher's kept answers.
    """
    document = body.document()
    return await run_in_threadpool(_made, visit, document, idempotency_key, dry_run=dry_run)


@router.post(
    "/students",
    operation_id="find_student",
    status_code=201,
    response_model=Sweep,
    openapi_extra={"requestBody": body_schema(StudentSearch, required=True)},
    responses=_MADE | problems(413, 415, 422),
)
async def find_student(
    visit: Ledger,
    body: SentBody,
    idempotency_key: IdempotencyKey = None,
    dry_run: _DryRun = False,  # FastAPI passes by name
) -> Response:
    """Try students of many sizes within limits, and rank them: a sweep over `/student`."""
    search = checked(StudentSearch, body.document())
    try:
        document = await run_in_threadpool(as_sweep, search, partial(_report, visit))
    except NoStudentError as error:
        message = str(error)
        raise PayloadProblem(
            [FieldError(pointer="/spec/student", code="no_student", message=message)],
            code="no_student",
        ) from None
    return await run_in_threadpool(_made, visit, document, idempotency_key, dry_run=dry_run)


@router.get("", operation_id="list_sweeps", response_model=ListBody[Sweep], responses=problems(422))
def list_sweeps(
    request: Request,
    visit: Ledger,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> Response:
    """Return sweeps, the newest first."""
    before = decode("sweeps", after, SWEEP_ID) if after is not None else None
    with visit.reading() as repository:
        rows = repository.sweeps(limit=limit + 1, before=before)
        standing = repository.standing([row.id for row in rows])
        page = [sweep_of(row, standing[row.id]) for row in rows[:limit]]
    has_more = len(rows) > limit
    cursor = encode("sweeps", page[-1].id) if has_more else None
    body = ListBody[Sweep](data=page, has_more=has_more, next_cursor=cursor)
    return unless_known(send(body), request.headers)


@router.get("/{sweep_id}", operation_id="get_sweep", response_model=Sweep, responses=problems(404))
def get_sweep(request: Request, visit: Ledger, sweep_id: _Id) -> Response:
    """Return one sweep."""
    with visit.reading() as repository:
        told = _told(repository, found(repository, sweep_id))
    return unless_known(send(told), request.headers)


@router.get(
    "/{sweep_id}/leaderboard",
    operation_id="get_leaderboard",
    response_model=Leaderboard,
    responses=problems(404),
)
def get_leaderboard(request: Request, visit: Ledger, sweep_id: _Id) -> Response:
    """Return all points, the best first: within the limits, far on, on the front, by objective."""
    with visit.reading() as repository:
        row = found(repository, sweep_id)
        places = [place_of(one) for one in repository.leaderboard(row.id)]
    body = Leaderboard.model_validate({"sweep": row.id, "status": row.status, "data": places})
    return unless_known(send(body), request.headers)


@router.post(
    "/{sweep_id}/cancel",
    operation_id="cancel_sweep",
    response_model=Sweep,
    openapi_extra={"requestBody": body_schema(Cancel)},
    responses=problems(404, 409, 415, 422),
)
def cancel_sweep(visit: Ledger, sweep_id: _Id, body: SentBody) -> Response:
    """Begin no more trials and cancel those that wait or run; asking again is no error."""
    wanted = checked(Cancel, body.document() if body.content else {})
    with visit.writing("sweep.cancel", sweep_id, {"mode": wanted.mode}) as repository:
        found(repository, sweep_id)
        told = _told(repository, repository.cancel_sweep(sweep_id, wanted.mode))
    return send(told)


@router.post(
    "/{sweep_id}/resume",
    operation_id="resume_sweep",
    response_model=Sweep,
    openapi_extra={"requestBody": body_schema(Resume)},
    responses=problems(404, 409, 415, 422),
)
def resume_sweep(visit: Ledger, sweep_id: _Id, body: SentBody) -> Response:
    """Go on with a sweep that was cancelled, or that its budget has ended.

    What has ended stays, what was cancelled begins anew. One that has spent its budget needs a
    larger one.
    """
    wanted = checked(Resume, body.document() if body.content else {})
    told = wanted.model_dump(mode="json", exclude_none=True)
    with visit.writing("sweep.resume", sweep_id, told) as repository:
        found(repository, sweep_id)
        repository.resume_sweep(sweep_id, wanted.budget)
        begun = repository.advance_sweep(sweep_id)
        told = _told(repository, repository.sweep(sweep_id))
    return send(told, after=_bells(visit, begun))


def _report(visit: Visit, spec: JobSpec) -> DataReport | None:
    try:
        return known_report(visit, spec)
    except PayloadProblem:
        return None  # the plan of the sweep says what is wrong, and where in its body


def _made(visit: Visit, document: object, key: str | None, *, dry_run: bool) -> Response:
    body = checked(SweepSpec, document)
    sweep_id = new_sweep_id()
    if key is not None:
        usable_key(key)
    canonical = json.dumps(body.model_dump(mode="json"), sort_keys=True)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    if key is not None and (replayed := _replayed(visit, key, digest)):
        return replayed
    trials = planned(visit, sweep_id, body)
    if dry_run:
        return send(plan_of(body, trials))
    new = NewSweep(
        sweep_id,
        visit.caller.project,
        body,
        trials,
        created_by=visit.caller.author.key_id,
        idempotency_key=key,
        body_sha256=digest,
    )
    try:
        with visit.writing("sweep.create", sweep_id, {"trials": len(trials)}) as repository:
            repository.add_sweep(new)
            begun = repository.advance_sweep(sweep_id)
            told = _told(repository, repository.sweep(sweep_id))
    except IntegrityError:
        # The same request came twice at once, and the other one was first.
        if key is None or not (replayed := _replayed(visit, key, digest)):
            raise
        return replayed
    where = {"Location": f"/v1/sweeps/{sweep_id}"}
    return send(told, 201, headers=where, after=_bells(visit, begun))


def _replayed(visit: Visit, key: str, digest: str) -> Response | None:
    with visit.reading() as repository:
        row = repository.sweep_of_key(key)
        if row is None:
            return None
        if row.body_sha256 != digest:
            raise reused(f"sweep {row.id}")
        told = _told(repository, row)
    headers = {"Location": f"/v1/sweeps/{row.id}", "Idempotent-Replayed": "true"}
    return send(told, 201, headers=headers)


def found(repository: Repository, sweep_id: str) -> StoredSweep:
    """Return a sweep by what may be its id.

    Raises:
        SweepNotFound: there is no such sweep.
    """
    if not SWEEP_ID.fullmatch(sweep_id):
        raise SweepNotFound(sweep_id)
    return repository.sweep(sweep_id)


def _told(repository: Repository, row: StoredSweep) -> Sweep:
    return sweep_of(row, repository.standing([row.id])[row.id])


def _bells(visit: Visit, job_ids: list[str]) -> BackgroundTask | None:
    """Ring for new jobs once the answer is sent: that may wait for a broker that is away."""

    def ring() -> None:
        for job_id in job_ids:
            visit.bell.ring(job_id)

    return BackgroundTask(ring) if job_ids else None
