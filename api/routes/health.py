"""Whether the house stands: probes, Prometheus, workers, the queue."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from api import views
from api.answers import problems, send
from api.dependencies import HouseLedger, Ledger, OpenHouse
from api.problems import Problem
from api.schemas import Check, FieldError, Health, ListBody, Queue, Worker
from jobs.states import ACTIVE, Status

router = APIRouter(tags=["operations"])

_NO_STORE: Final = {"Cache-Control": "no-store"}


@router.head("/livez", include_in_schema=False)
@router.get("/livez", operation_id="live", response_model=Health)
def live() -> Response:
    """Say that the process answers; nothing else is asked."""
    return send(Health(status="ok"), headers=_NO_STORE)


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", operation_id="ready", response_model=Health, responses=problems())
def ready(house: OpenHouse) -> Response:
    """Say whether the database, the artifact store and, where one is named, the broker are there.

    Without its broker the server still takes jobs; they only start later.
    """
    checks = [_check("database", house.database.ping), _check("store", house.store.ping)]
    if house.settings.rings:
        checks.append(_check("broker", house.bell.ping))
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
    return send(Health(status="ok", checks=checks), headers=_NO_STORE)


def _check(name: str, ask: Callable[[], None]) -> Check:
    try:
        ask()
    except Exception as error:  # noqa: BLE001 - whatever a driver raises, the check is red
        # The text of a driver's error may hold addresses and passwords; its class does not.
        return Check(name=name, ok=False, detail=f"does not answer ({type(error).__name__})")
    return Check(name=name, ok=True, detail="ok")


@router.get(
    "/metrics",
    operation_id="get_prometheus",
    response_class=PlainTextResponse,
    responses={200: {"description": "Prometheus text format"}} | problems(),
)
def get_prometheus(house: HouseLedger) -> Response:
    """Return what Prometheus scrapes; while the database is away, `stillhouse_database_up` is 0."""
    content = house.meters.exposition()
    return Response(content, headers={**_NO_STORE, "Content-Type": CONTENT_TYPE_LATEST})


@router.get(
    "/v1/workers",
    operation_id="list_workers",
    response_model=ListBody[Worker],
    responses=problems(),
)
def list_workers(house: Ledger) -> Response:
    """Return the workers that are there, and those that lately were."""
    oldest = house.house.oldest_beat()
    with house.reading() as repository:
        rows = repository.workers()
    body = ListBody[Worker](
        data=[
            Worker(
                id=row.id,
                started_at=row.started_at,
                seen_at=row.seen_at,
                slots=row.slots,
                alive=row.seen_at >= oldest,
            )
            for row in rows
        ]
    )
    return send(body, headers=_NO_STORE)


@router.get("/v1/queue", operation_id="get_queue", response_model=Queue, responses=problems())
def get_queue(house: Ledger) -> Response:
    """Return how many jobs there are in each status."""
    with house.reading() as repository:
        counts = views.counts(repository.counts())
    body = Queue(
        counts=counts,
        waiting=counts[Status.QUEUED],
        running=sum(counts[status] for status in ACTIVE),
    )
    return send(body, headers=_NO_STORE)
