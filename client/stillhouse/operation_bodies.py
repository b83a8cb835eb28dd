"""The shapes of what the API answers to operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

DrainMode = Literal["finish", "save"]


class Check(TypedDict):
    """One thing that the server needs, and whether it is there."""

    name: str
    ok: bool
    detail: str


class Worker(TypedDict):
    """A worker that was seen lately."""

    id: str
    started_at: str
    seen_at: str
    slots: int
    alive: bool
    draining: NotRequired[DrainMode | None]
    """How it drains, where it takes no more jobs."""
    draining_since: NotRequired[str | None]
    about: NotRequired[dict[str, Any] | None]
    """What it computes with."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """A server that answers."""

    version: str
    clock_ahead_seconds: float | None
    """How far its clock is before this machine's, to a second; None where it does not say."""
