"""Whether the house stands: probes, Prometheus, the queue."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from api import VERSION, views
from api.answers import NO_STORE, problems, send
from api.condition import Health, Queue
from api.dependencies import HouseLedger, Ledger, OpenHouse
from api.problems import Problem
from api.schemas import FieldError
from jobs.states import ACTIVE, Status

router = APIRouter(tags=["operations"])


@router.head("/livez", include_in_schema=False)
@router.get("/livez", operation_id="live", response_model=Health)
def live() -> Response:
    """Say that the process answers; nothing else is asked."""
    return send(Health(status="ok", version=VERSION), headers=NO_STORE)


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", operation_id="ready", response_model=Health, responses=problems())
def ready(house: OpenHouse) -> Response:
    """Say whether all is there that the server needs.

    That is the database, the artifact store, room in the data folder, a sweeper that has lately
    been through, and the broker, where one is named. Without its broker the server still takes
    jobs; they only start later.
    """
    checks = list(house.readiness.checks())
    red = [check for check in checks if not check.ok]
    if red:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "not_ready",
            "; ".join(f"{check.name}: {check.detail}" for check in red),
            errors=[
                FieldError(
                    pointer="", parameter=check.name, code="unavailable", message=check.detail
                )
                for check in red
            ],
            headers={"Retry-After": "5"},
        )
    return send(Health(status="ok", version=VERSION, checks=checks), headers=NO_STORE)


@router.get(
    "/metrics",
    operation_id="get_prometheus",
    response_class=PlainTextResponse,
    responses={200: {"description": "Prometheus text format"}} | problems(),
)
def get_prometheus(visit: HouseLedger) -> Response:
    """Return what Prometheus scrapes; while the database is away, `stillhouse_database_up` is 0."""
    content = visit.meters.exposition()
    return Response(content, headers={**NO_STORE, "Content-Type": CONTENT_TYPE_LATEST})


@router.get("/v1/queue", operation_id="get_queue", response_model=Queue, responses=problems())
def get_queue(visit: Ledger) -> Response:
    """Return how many jobs there are in each status."""
    with visit.reading() as repository:
        counts = views.counts(repository.counts())
    body = Queue(
        counts=counts,
        waiting=counts[Status.QUEUED],
        running=sum(counts[status] for status in ACTIVE),
    )
    return send(body, headers=NO_STORE)
