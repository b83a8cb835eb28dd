"""What can be done to a job: cancel, retry."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask
from starlette.responses import Response

from api import telling
from api.answers import problems, send_content
from api.checks import body_schema, checked
from api.dependencies import JobId, Ledger, SentBody
from api.schemas import Job

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])


class Cancel(BaseModel):
    """How a job is cancelled."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    mode: Literal["graceful", "now"] = "graceful"
    """`graceful` saves a checkpoint first, `now` kills the trainer."""


class Retry(BaseModel):
    """How a job is started again."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    from_: Annotated[Literal["checkpoint", "scratch"], Field(alias="from")] = "checkpoint"
    """`checkpoint` goes on where the last attempt saved, `scratch` begins anew."""


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
    | problems(404, 409, 415, 422),
)
def cancel_job(house: Ledger, job_id: JobId, body: SentBody) -> Response:
    """Cancel a job; asking again is no error. A run that ends first keeps its result."""
    wanted = checked(Cancel, body.document() if body.content else {})
    with house.writing("job.cancel", job_id, {"mode": wanted.mode}) as repository:
        repository.request_cancel(job_id, wanted.mode)
        row = repository.row(job_id)
    return send_content(telling.full(row), 200 if telling.is_terminal(row) else 202)


@router.post(
    "/retry",
    operation_id="retry_job",
    status_code=202,
    response_model=Job,
    openapi_extra={"requestBody": body_schema(Retry)},
    responses={202: {"description": "The job is queued again."}} | problems(404, 409, 415, 422),
)
def retry_job(house: Ledger, job_id: JobId, body: SentBody) -> Response:
    """Queue a failed or cancelled job again."""
    wanted = checked(Retry, body.document() if body.content else {})
    with house.writing("job.retry", job_id, {"from": wanted.from_}) as repository:
        repository.retry(job_id, wanted.from_)
        row = repository.row(job_id)
    return send_content(telling.full(row), 202, after=BackgroundTask(house.bell.ring, job_id))
