"""Who works for the house, and who is to stop."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from api.answers import NO_STORE, problems, send
from api.checks import Sent, body_schema, checked
from api.condition import Worker, worker_of
from api.dependencies import HouseAdminLedger, Ledger, SentBody
from api.schemas import ListBody
from jobs.errors import WorkerNotFound
from jobs.operating import DrainMode

router = APIRouter(prefix="/v1/workers", tags=["operations"])

_LONGEST_ID = 128


class Drain(Sent):
    """How a worker drains."""

    mode: Literal["finish", "save"] = "finish"
    """`finish` lets the attempts that it runs run on to their end, `save` has them save and go back
    to the queue."""


async def _checked_worker_id(
    worker_id: Annotated[str, Path(examples=["machine-1-4711-0b5e8a3c"])],
) -> str:
    """Return the id, if it can be one.

    Raises:
        WorkerNotFound: no worker could have such an id.
    """
    if len(worker_id) > _LONGEST_ID or not worker_id.isprintable():
        raise WorkerNotFound(worker_id)
    return worker_id


WorkerId = Annotated[str, Depends(_checked_worker_id)]


@router.get(
    "", operation_id="list_workers", response_model=ListBody[Worker], responses=problems(404)
)
def list_workers(visit: Ledger) -> Response:
    """Return the workers that are there, and those that lately were."""
    oldest = visit.house.oldest_beat()
    with visit.reading() as repository:
        rows = repository.workers()
    return send(ListBody[Worker](data=[worker_of(row, oldest) for row in rows]), headers=NO_STORE)


@router.post(
    "/{worker_id}/drain",
    operation_id="drain_worker",
    status_code=202,
    response_model=Worker,
    openapi_extra={"requestBody": body_schema(Drain)},
    responses={202: {"description": "It takes no more jobs, and ends once it runs none."}}
    | problems(404, 413, 415, 422),
)
def drain_worker(visit: HouseAdminLedger, worker_id: WorkerId, body: SentBody) -> Response:
    """Have a worker take no more jobs and end, with a key of the house.

    From this answer on it claims none; it hears of it within seconds. Asking again changes nothing,
    but that one that was to finish may be told to save.
    """
    wanted = checked(Drain, body.document() if body.content else {})
    with visit.changing() as repository:
        row = repository.drain_worker(worker_id, DrainMode(wanted.mode))
        author, details = visit.caller.author, {"mode": wanted.mode}
        repository.note(author, "worker.drain", worker_id, project=None, details=details)
    return send(worker_of(row, visit.house.oldest_beat()), 202, headers=NO_STORE)
