"""How the house is, as clients see it: its parts, its workers, its queue."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from api.schemas import Body
from jobs import tables


class Worker(Body):
    """A worker that was seen lately."""

    id: str
    started_at: datetime
    seen_at: datetime
    slots: int
    alive: bool
    """True where it reported within the lease time."""
    draining: Literal["finish", "save"] | None
    """How it drains, where it takes no more jobs."""
    draining_since: datetime | None
    about: dict[str, JsonValue] | None
    """What it computes with: its version, those of its packages, GPUs, cores."""


class Queue(Body):
    """How many jobs there are in each status."""

    object: Literal["queue"] = "queue"
    counts: dict[str, int]
    waiting: int
    running: int


class Check(Body):
    """One thing that the server needs, and whether it is there."""

    name: str
    ok: bool
    detail: str


class Health(Body):
    """Whether the server can do its work."""

    status: Literal["ok", "unavailable"]
    version: str
    """Of the server."""
    checks: list[Check] = []


def worker_of(row: tables.Worker, oldest: datetime) -> Worker:
    """Return what is told of a worker; one that was seen since `oldest` is alive."""
    return Worker.model_validate(
        {
            "id": row.id,
            "started_at": row.started_at,
            "seen_at": row.seen_at,
            "slots": row.slots,
            "alive": row.seen_at >= oldest,
            "draining": row.drain_mode,
            "draining_since": row.draining_since,
            "about": row.about,
        }
    )
