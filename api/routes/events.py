"""A job's story: pages by cursor, or server-sent events with the same numbers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api import views
from api.answers import problems, send, unless_known
from api.dependencies import JobId, Ledger, Visit
from api.schemas import EventList
from api.streams import EventStream

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["watch"])

_NUMBER: Final = re.compile(r"\d{1,18}")
_LARGEST: Final = 2**31 - 1
_STREAM: Final[dict[str, Any]] = {
    "description": "A page of events, or with `Accept: text/event-stream` a live stream of them.",
    "content": {
        "text/event-stream": {
            "schema": {"type": "string"},
            "example": 'id: 1\nevent: job.queued\ndata: {"seq": 1, "type": "job.queued"}\n\n',
        }
    },
}


@router.get(
    "/events",
    operation_id="list_events",
    response_model=EventList,
    responses={200: _STREAM, 204: {"description": "The job has ended and nothing is left to tell."}}
    | problems(404, 410, 422),
)
async def list_events(  # noqa: PLR0913, PLR0917 - FastAPI passes by name
    request: Request,
    visit: Ledger,
    job_id: JobId,
    after: Annotated[
        int, Query(ge=0, le=_LARGEST, description="Number of the last seen event")
    ] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    last_event_id: Annotated[
        str | None, Header(description="As `after`; what browsers send when they reconnect")
    ] = None,
) -> Response:
    """Return what happened in a job after an event number, or stream it as it happens.

    The stream sends each event once, `progress` whenever the progress changes (without an id), a
    comment every 15 seconds, and `end` when the job has ended.
    """
    if "text/event-stream" in request.headers.get("accept", ""):
        if last_event_id is not None and _NUMBER.fullmatch(last_event_id):
            after = int(last_event_id)
        return await _stream(visit, job_id, after)
    return await run_in_threadpool(_page, visit, job_id, after, limit, request)


def _page(visit: Visit, job_id: str, after: int, limit: int, request: Request) -> Response:
    with visit.reading() as repository:
        job = repository.get(job_id)
        rows = repository.events(job_id, after=after, limit=limit)
        data = [views.event(row) for row in rows]
    reached = data[-1].seq if data else after
    has_more = reached < job.last_seq
    body = EventList(
        data=data,
        has_more=has_more,
        next_cursor=str(reached),
        terminal=views.is_terminal(job) and not has_more,
    )
    return unless_known(send(body), request.headers)


async def _stream(visit: Visit, job_id: str, after: int) -> Response:
    job = await run_in_threadpool(_get, visit, job_id)
    if views.is_terminal(job) and after >= job.last_seq:
        return Response(status_code=204)
    if after > job.last_seq:
        # A number from another life of the database: better to tell all than to skip what comes.
        after = 0
    return EventStream(visit.tower.stream(job_id, after, visit.is_welcome))


def _get(visit: Visit, job_id: str) -> Any:
    with visit.reading() as repository:
        return repository.get(job_id)
