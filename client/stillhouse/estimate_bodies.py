"""What is told of a spec before it is a job: whether it would be taken, and what it would take."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class Validation(TypedDict):
    """What a dry run answers: the spec as sent and as it resolves."""

    valid: bool
    spec: dict[str, Any]
    recipe: dict[str, Any]
    preflight: KnownPreflight


class KnownPreflight(TypedDict):
    """What is known of a preflight of the same recipe."""

    state: Literal["unasked", "queued", "running", "done", "failed"]
    url: str
    compatible: bool | None


class Estimate(TypedDict):
    """What a job would take, at least."""

    networks: list[dict[str, Any]]
    steps: int
    steps_known: bool
    memory_bytes: int
    disk_bytes: int
    teacher_cache_bytes: int | None
    seconds: dict[str, float] | None
    notes: list[str]
    preflight: KnownPreflight
    waiting: int
