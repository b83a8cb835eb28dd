"""A job's curves, in columns."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api import views
from api.answers import problems, send, unless_known
from api.dependencies import JobId, Ledger
from api.plots import MetricsBody
from api.schemas import Attempt, ListBody

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["watch"])


@router.get(
    "/metrics",
    operation_id="get_metrics",
    response_model=MetricsBody,
    responses=problems(404, 410, 422),
)
def get_metrics(
    request: Request,
    visit: Ledger,
    job_id: JobId,
    keys: Annotated[
        str | None,
        Query(
            max_length=1000, description="Names of columns, separated by commas", examples=["loss"]
        ),
    ] = None,
    max_points: Annotated[
        int | None, Query(ge=2, le=100_000, description="Points of each stage at most")
    ] = None,
) -> Response:
    """Return the curves of every stage; an interrupted run reads like one that was not."""
    wanted = [key for key in keys.split(",") if key] if keys else None
    with visit.reading() as repository:
        repository.get(job_id)
        curves = repository.metrics(job_id, keys=wanted, max_points=max_points)
    return unless_known(send(views.metrics(job_id, curves)), request.headers)


@router.get(
    "/attempts",
    operation_id="list_attempts",
    response_model=ListBody[Attempt],
    responses=problems(404, 410),
)
def list_attempts(request: Request, visit: Ledger, job_id: JobId) -> Response:
    """Return every claim of a job by a worker, the first one first."""
    with visit.reading() as repository:
        repository.get(job_id)
        rows = repository.attempts(job_id)
    body = ListBody[Attempt](data=[views.attempt(row) for row in rows])
    return unless_known(send(body), request.headers)
