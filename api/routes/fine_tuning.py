"""Fine-tuning jobs of the OpenAI facade: posted, listed, followed, cancelled, paused, resumed."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from starlette.background import BackgroundTask
from starlette.responses import Response

from api.answers import problems, send, unless_known
from api.checks import body_schema
from api.dependencies import JobId, Ledger, SentBody
from api.facade.asking import NewFineTuningJob
from api.facade.bodies import FineTuningCheckpoint, FineTuningEvent, FineTuningJob, Page
from api.facade.posting import post
from api.facade.route import FacadeRoute
from api.facade.seeking import METADATA, job_before, labels_asked, position_of
from api.facade.telling import checkpoints_of, events_of, fine_tuning_job
from api.repeating import Arrived
from api.submitting import IdempotencyKey
from jobs.repository import Repository

router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["openai"], route_class=FacadeRoute)

_FINISHED: Final = "stage.finished"
_MOST_STAGES: Final = 1000
_Limit = Annotated[int, Query(ge=1, le=200)]
_After = Annotated[
    str | None, Query(max_length=200, description="Id of the last item of the page before")
]
_TOLD: Final[dict[int | str, dict[str, Any]]] = problems(404, 409)


@router.post(
    "",
    operation_id="create_fine_tuning_job",
    response_model=FineTuningJob,
    openapi_extra={"requestBody": body_schema(NewFineTuningJob, required=True)},
    responses=problems(413, 415, 422),
)
async def create_job(
    arrived: Arrived,
    request: Request,
    visit: Ledger,
    body: SentBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Store a job as `POST /v1/jobs` does; one that the openai client sends again is found again.

    The client tells a repetition by `x-stainless-retry-count`. An `Idempotency-Key` counts more.
    """
    return await post(visit, body, request.headers, arrived, idempotency_key)


@router.get(
    "",
    operation_id="list_fine_tuning_jobs",
    response_model=Page[FineTuningJob],
    openapi_extra=METADATA,
    responses=problems(422),
)
def list_jobs(
    request: Request, visit: Ledger, after: _After = None, limit: _Limit = 20
) -> Response:
    """List all jobs of the project, the newest first, however they were posted."""
    position = job_before(after)
    labels = labels_asked(request.query_params)
    with visit.reading() as repository:
        page = repository.list(labels=labels, limit=limit, after=position)
        while not page.items and page.next_after:
            # Under several filters a page may be empty before the end, where clients would stop.
            page = repository.list(labels=labels, limit=limit, after=page.next_after)
        data = _told(repository, [job.id for job in page.items])
    body = Page[FineTuningJob](data=data, has_more=page.next_after is not None)
    return unless_known(send(body), request.headers)


@router.get(
    "/{job_id}",
    operation_id="retrieve_fine_tuning_job",
    response_model=FineTuningJob,
    responses=problems(404),
)
def retrieve_job(request: Request, visit: Ledger, job_id: JobId) -> Response:
    """Return a job of the project, however it was posted."""
    with visit.reading() as repository:
        job = _one(repository, job_id)
    return unless_known(send(job), request.headers)


@router.post(
    "/{job_id}/cancel",
    operation_id="cancel_fine_tuning_job",
    response_model=FineTuningJob,
    responses=_TOLD,
)
def cancel_job(visit: Ledger, job_id: JobId) -> Response:
    """Cancel a job; one that runs is `running` until its worker has heard of it, within seconds."""
    with visit.writing("job.cancel", job_id, {"mode": "graceful"}) as repository:
        repository.request_cancel(job_id)
        job = _one(repository, job_id)
    return send(job)


@router.post(
    "/{job_id}/pause",
    operation_id="pause_fine_tuning_job",
    response_model=FineTuningJob,
    responses=_TOLD,
)
def pause_job(visit: Ledger, job_id: JobId) -> Response:
    """Pause a job; one that runs is `running` until it has saved, and then `paused`."""
    with visit.writing("job.pause", job_id) as repository:
        repository.pause(job_id)
        job = _one(repository, job_id)
    return send(job)


@router.post(
    "/{job_id}/resume",
    operation_id="resume_fine_tuning_job",
    response_model=FineTuningJob,
    responses=_TOLD,
)
def resume_job(visit: Ledger, job_id: JobId) -> Response:
    """Queue a paused job again: it goes on from its checkpoint."""
    with visit.writing("job.resume", job_id) as repository:
        repository.resume(job_id)
        job = _one(repository, job_id)
    return send(job, after=BackgroundTask(visit.bell.ring, job_id))


@router.get(
    "/{job_id}/events",
    operation_id="list_fine_tuning_events",
    response_model=Page[FineTuningEvent],
    responses=problems(404, 422),
)
def list_events(
    request: Request,
    visit: Ledger,
    job_id: JobId,
    after: _After = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> Response:
    """Return what happened in a job, the newest first."""
    before = position_of(job_id, after)
    with visit.reading() as repository:
        repository.row(job_id)
        rows = repository.latest_events(job_id, before=before, limit=limit + 1)
        data = events_of(rows[:limit])
    body = Page[FineTuningEvent](data=data, has_more=len(rows) > limit)
    return unless_known(send(body), request.headers)


@router.get(
    "/{job_id}/checkpoints",
    operation_id="list_fine_tuning_checkpoints",
    response_model=Page[FineTuningCheckpoint],
    responses=problems(404, 422),
)
def list_checkpoints(
    request: Request, visit: Ledger, job_id: JobId, after: _After = None, limit: _Limit = 10
) -> Response:
    """Return the student, once it is delivered: no other network of a job can be begun with."""
    del limit  # there is one at most
    with visit.reading() as repository:
        job = _one(repository, job_id)
        finished = repository.latest_events(job_id, kind=_FINISHED, limit=_MOST_STAGES)
    data = checkpoints_of(job, finished) if after is None else []
    return unless_known(
        send(Page[FineTuningCheckpoint](data=data, has_more=False)), request.headers
    )


def _one(repository: Repository, job_id: str) -> FineTuningJob:
    """Return a job.

    Raises:
        JobNotFound: there is none.
    """
    row = repository.row(job_id)
    return fine_tuning_job(row, repository.offered({job_id})[job_id].files)


def _told(repository: Repository, job_ids: list[str]) -> list[FineTuningJob]:
    files = repository.offered(set(job_ids))
    return [fine_tuning_job(row, files[row.id].files) for row in repository.rows(job_ids)]
