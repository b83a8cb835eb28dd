"""What can be done to a job: cancel, pause, resume, retry."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.responses import Response

from api import telling
from api.answers import problems, send_content
from api.cancel import Cancel
from api.checks import body_schema, checked
from api.dependencies import JobId, Ledger, SentBody
from api.schemas import Job
from jobs.spec import RuntimeLimit
from jobs.states import Status

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])


class Retry(BaseModel):
    """How a job is started again."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    from_: Annotated[Literal["checkpoint", "scratch"], Field(alias="from")] = "checkpoint"
    """`checkpoint` goes on where the last attempt saved, `scratch` begins anew."""
    max_runtime_seconds: RuntimeLimit | None = None
    """Another limit of the time that its attempts may run together from now on."""


@router.post(
    "/cancel",
    operation_id="cancel_job",
    status_code=202,
    response_model=Job,
    openapi_extra={"requestBody": body_schema(Cancel)},
    responses={
        200: {"description": "Nobody was running it: it is cancelled.", "model": Job},
        202: {"description": "Its worker hears of it within seconds."},
    }
    | problems(404, 409, 410, 415, 422),
)
def cancel_job(visit: Ledger, job_id: JobId, body: SentBody) -> Response:
    """Cancel a job; asking again is no error. A run that ends first keeps its result."""
    wanted = checked(Cancel, body.document() if body.content else {})
    with visit.writing("job.cancel", job_id, {"mode": wanted.mode}) as repository:
        repository.request_cancel(job_id, wanted.mode)
        row = repository.row(job_id)
    return send_content(telling.full(row), 200 if telling.is_terminal(row) else 202)


@router.post(
    "/pause",
    operation_id="pause_job",
    status_code=202,
    response_model=Job,
    responses={
        200: {"description": "Nobody was running it: it is paused.", "model": Job},
        202: {"description": "Its worker hears of it within seconds; the trainer saves first."},
    }
    | problems(404, 409, 410),
)
def pause_job(visit: Ledger, job_id: JobId) -> Response:
    """Pause a job: it keeps what it has learned, and gives its place to others.

    Asking again is no error. A run that ends first keeps its result, and a pause costs no attempt.
    """
    with visit.writing("job.pause", job_id) as repository:
        repository.pause(job_id)
        row = repository.row(job_id)
    return send_content(telling.full(row), 200 if row.status == Status.PAUSED else 202)


@router.post(
    "/resume",
    operation_id="resume_job",
    status_code=202,
    response_model=Job,
    responses={202: {"description": "The job waits for a worker, or runs on."}}
    | problems(404, 409, 410),
)
def resume_job(visit: Ledger, job_id: JobId) -> Response:
    """Queue a paused job again: it goes on from its checkpoint. Asking again is no error.

    One that is still pausing is taken at its last word: it runs on, or is in the queue at once.
    """
    with visit.writing("job.resume", job_id) as repository:
        repository.resume(job_id)
        row = repository.row(job_id)
    return send_content(telling.full(row), 202, after=BackgroundTask(visit.bell.ring, job_id))


@router.post(
    "/retry",
    operation_id="retry_job",
    status_code=202,
    response_model=Job,
    openapi_extra={"requestBody": body_schema(Retry)},
    responses={202: {"description": "The job is queued again."}}
    | problems(404, 409, 410, 415, 422),
)
def retry_job(visit: Ledger, job_id: JobId, body: SentBody) -> Response:
    """Queue a failed or cancelled job again; asking again while it is on its way is no error."""
    wanted = checked(Retry, body.document() if body.content else {})
    with visit.writing("job.retry", job_id, wanted.model_dump(by_alias=True)) as repository:
        repository.retry(job_id, wanted.from_, max_runtime_seconds=wanted.max_runtime_seconds)
        row = repository.row(job_id)
    return send_content(telling.full(row), 202, after=BackgroundTask(visit.bell.ring, job_id))
