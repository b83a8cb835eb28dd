"""The shapes of what the API answers about sweeps."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

SweepStatus = Literal["running", "completed", "cancelled"]


class Objective(TypedDict):
    """What trials are compared by."""

    metric: str
    direction: Literal["maximize", "minimize"]


class Counts(TypedDict):
    """How many trials stand where."""

    pending: int
    active: int
    succeeded: int
    failed: int
    cancelled: int
    refused: int
    held: int


class Sweep(TypedDict):
    """Many trials of one spec."""

    id: str
    object: Literal["sweep"]
    project: str
    name: str | None
    status: SweepStatus
    ended_for: Literal["done", "budget", "cancelled"] | None
    trials: Counts
    strategy: dict[str, Any]
    objectives: list[Objective]
    limits: list[str]
    max_parallel: int
    budget: dict[str, Any]
    space: dict[str, Any]
    spec: dict[str, Any]
    created_at: str
    ended_at: str | None


class Place(TypedDict):
    """A point, as far as it came."""

    rank: int | None
    trial: int
    rung: int
    point: dict[str, Any]
    state: Literal["pending", "started", "refused"]
    job: str | None
    status: str | None
    outcome: str | None
    values: dict[str, float | None]
    within_limits: bool | None
    on_front: bool
    reason: dict[str, Any] | None


class Leaderboard(TypedDict):
    """All points, the best first."""

    object: Literal["leaderboard"]
    sweep: str
    status: SweepStatus
    data: list[Place]


class SweepPlan(TypedDict):
    """What a sweep would try."""

    object: Literal["sweep_plan"]
    points: list[dict[str, Any]]
    rungs: list[int]
    steps: int


class SweepPage(TypedDict):
    """One page of sweeps."""

    object: Literal["list"]
    data: list[Sweep]
    has_more: bool
    next_cursor: str | None
