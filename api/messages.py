"""What webhooks are told, as OpenAPI describes it; `jobs.outbox` writes it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from fastapi import APIRouter

from api.schemas import Body
from jobs.outbox import WebhookEvent

Outcome = Literal["beats", "ties", "loses", "inconclusive"]


class ToldFailure(Body):
    """Why a job failed; words are cut after 300 characters."""

    code: str
    message: str | None
    hint: str | None


class ToldJob(Body):
    """A job, as messages tell it."""

    id: str
    object: Literal["job"]
    project: str
    name: str | None
    labels: dict[str, str] | None
    """Null where the message would have been too large with them."""
    status: str
    attempt: int
    seq: int
    """Of the job's events: what comes later has a higher one."""
    outcome: Outcome | None
    gates_passed: bool | None
    sentence: str | None
    """The verdict, in words."""
    failure: ToldFailure | None
    links: dict[str, str]


class ToldSweep(Body):
    """A sweep, as messages tell it."""

    id: str
    object: Literal["sweep"]
    project: str
    name: str | None
    status: str
    ended_for: str | None
    links: dict[str, str]


class JobMessage(Body):
    """Something has happened to a job. Signed by Standard Webhooks; answer with 2xx."""

    type: WebhookEvent
    timestamp: datetime
    data: ToldJob


class SweepMessage(Body):
    """A sweep goes on no more. Signed by Standard Webhooks; answer with 2xx."""

    type: WebhookEvent
    timestamp: datetime
    data: ToldSweep


def _of_job(message: JobMessage) -> None:
    """Tell a receiver that something has happened to a job."""


def _of_sweep(message: SweepMessage) -> None:
    """Tell a receiver that a sweep goes on no more."""


router = APIRouter(tags=["webhooks"])
for _event in get_args(WebhookEvent):
    router.add_api_route(
        _event,
        _of_sweep if _event.startswith("sweep.") else _of_job,
        methods=["POST"],
        status_code=204,
        operation_id=f"told_{_event.replace('.', '_')}",
    )
