"""What a job would take, before anything is queued."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import problems, send
from api.dependencies import Ledger, SentBody, Visit
from api.estimate import Estimate, NetworkSize, Seconds
from api.examples import SUBMIT_BODY
from api.references import resolved
from api.specs import spec_of
from jobs.experience import Pace
from jobs.spec import JobSpec
from jobs.states import Status

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "/estimate",
    operation_id="estimate_job",
    response_model=Estimate,
    openapi_extra={"requestBody": SUBMIT_BODY},
    responses=problems(413, 415, 422),
)
async def estimate_job(visit: Ledger, body: SentBody) -> Response:
    """Say what a job would take, and store nothing; a spec that would be refused is refused here.

    Numbers are reckoned from the recipe alone, so a job takes at least so much. Networks of other
    libraries, and data that are not read yet, count as little as they can. The time is that of
    earlier jobs with the same networks, data, method and batches, for as many steps.
    """
    read = await spec_of(visit, body)
    await resolved(visit, read.spec)
    return send(await run_in_threadpool(_estimate, visit, read.spec))


def _estimate(visit: Visit, spec: JobSpec) -> Estimate:
    with visit.reading() as repository:
        pace = repository.pace(spec)
        waiting = repository.counts().get(Status.QUEUED, 0)
    extent = spec.extent
    form = spec.data.form()
    networks = {"/teacher/model": spec.teacher.model, "/student/model": spec.student.model}
    foreign = {pointer for pointer, model in networks.items() if model.foreign}
    flops = {pointer: model.flops(*form) for pointer, model in networks.items() if form is not None}
    return Estimate(
        networks=[
            NetworkSize(
                pointer=pointer,
                parameters=parameters if form and pointer not in foreign else None,
                flops=flops.get(pointer),
            )
            for pointer, parameters in extent.parameters
        ],
        steps=extent.steps,
        memory_bytes=extent.memory_bytes,
        disk_bytes=extent.disk_bytes,
        seconds=_seconds(pace, extent.steps) if pace else None,
        waiting=waiting,
    )


def _seconds(pace: Pace, steps: int) -> Seconds:
    return Seconds(
        lowest=steps * pace.lowest,
        median=steps * pace.median,
        highest=steps * pace.highest,
        jobs=pace.jobs,
    )
