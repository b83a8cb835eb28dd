"""Why a job waits."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from starlette.responses import Response

from api.answers import NO_STORE, problems, send
from api.dependencies import JobId, Ledger
from api.schemas import Body
from jobs.waiting import Reason

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["watch"])


class Waiting(Body):
    """What a job waits for in the queue, as things stand now."""

    object: Literal["waiting"] = "waiting"
    job: str
    reason: Reason | None
    """Null where it does not wait in the queue."""
    ahead: int = 0
    """Jobs of its project and queue that come before it; 1,000 stands for more as well."""
    seconds: float | None = None
    """Until it may be claimed, where it failed before."""
    told: str
    """The reason, in a sentence."""


@router.get(
    "/waiting",
    operation_id="get_waiting",
    response_model=Waiting,
    responses=problems(404, 410),
)
def get_waiting(visit: Ledger, job_id: JobId) -> Response:
    """Return why a job waits: no worker for it, its project's limit, or jobs that come first."""
    with visit.reading() as repository:
        wait = repository.wait_of(job_id, visit.house.oldest_beat())
        status = repository.get(job_id).status
    if wait is None:
        told = Waiting(job=job_id, reason=None, told=f"It is {status}, and waits in no queue.")
    else:
        told = Waiting(job=job_id, **wait._asdict())
    return send(told, headers=NO_STORE)
