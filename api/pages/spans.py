"""What a job did when, read from its story: it waits, prepares, trains, is paused and so on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from api.pages.charts import ROLES
from api.pages.storyline import Stage
from api.schemas import Attempt, Event
from api.views import stage_role

KINDS: Final[Mapping[str, str]] = {
    "waiting": "Waiting for a worker",
    "paused": "Paused",
    "starting": "Starting",
    "preparing": "Preparing",
    "caching_teacher": "Writing down the teacher's answers",
    **ROLES,
    "training": "Between stages",
    "evaluating": "Measuring",
    "exporting": "Writing files",
    "unknown": "Left out",
}
"""All that a job can be at, in the order of the legend."""

_BETWEEN_ATTEMPTS: Final = {
    "job.queued": "waiting",
    "job.paused": "paused",
    "job.resumed": "waiting",
    "job.retried": "waiting",
    "job.succeeded": None,
    "job.failed": None,
    "job.cancelled": None,
}
_ENDS: Final = {"job.paused", "job.succeeded", "job.failed", "job.cancelled"}
"""What may come with the end of an attempt, in the same breath."""


@dataclass(frozen=True, slots=True)
class Span:
    """One thing that a job was at for some time."""

    kind: str
    text: str
    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """How long it took."""
        return self.end - self.start


@dataclass(slots=True)
class _Walk:
    """Where the reading of a story is."""

    rows: dict[int, list[Span]] = field(default_factory=dict[int, list[Span]])
    attempt: int = 1
    """Whose row it is: waiting belongs to the attempt that ends it."""
    at_work: bool = False
    stage: object = None
    """The name of the stage that is trained."""
    now: tuple[str, str, datetime] | None = None
    """What has begun and not ended: its kind, its words, and when."""

    def turn(self, kind: str | None, at: datetime, text: str | None = None) -> None:
        """End what was, and begin something else."""
        if self.now is not None:
            was, words, since = self.now
            if at > since:
                self.rows.setdefault(self.attempt, []).append(Span(was, words, since, at))
            at = max(at, since)
        self.stage = None
        self.now = None if kind is None else (kind, text or KINDS[kind], at)

    def take_back(self) -> None:
        """Forget that something has begun: the job has done nothing of the kind."""
        self.now = None

    def train(self, data: Mapping[str, Any], at: datetime) -> None:
        """Begin a stage."""
        name, seed = str(data.get("stage")), int(data.get("seed", 0))
        if (role := stage_role(name)) in ROLES:
            self.turn(role, at, Stage(name, role, seed, 0).title)
            self.stage = name


def spans(
    events: Iterable[Event], attempts: Sequence[Attempt], until: datetime
) -> dict[int, list[Span]]:
    """Return what a job was at, by attempt and in order, up to a moment.

    A lost attempt ends where it was last heard of. Where events are left out in the middle of a
    long story, nobody says what happened.
    """
    ended = {one.number: one.ended_at for one in attempts}
    walk, before = _Walk(), None
    for event in events:
        if before is not None and event.seq > before.seq + 1 and not _goes_on(event, walk):
            walk.turn("unknown", before.at)
        if event.attempt is not None and event.attempt > walk.attempt:
            walk.turn(walk.now[0] if walk.now else None, event.at)
            walk.attempt = event.attempt
        if event.type in _ENDS and before is not None and before.type == "attempt.ended":
            walk.take_back()
        _read(event, walk, ended)
        before = event
    walk.turn(None, until)
    return walk.rows


def _goes_on(event: Event, walk: _Walk) -> bool:
    """Say whether all that was left out before an event was told by the stage that it tells of."""
    is_same = walk.stage is not None and event.data.get("stage") == walk.stage
    return is_same and event.attempt == walk.attempt


def _read(event: Event, walk: _Walk, ended: Mapping[int, datetime | None]) -> None:
    data: dict[str, Any] = event.data
    match event.type:
        case "attempt.started":
            walk.at_work = True
            walk.turn("starting", event.at)
        case "phase" if (phase := str(data.get("phase"))) in KINDS:
            walk.turn(phase, event.at)
        case "stage.started":
            walk.train(data, event.at)
        case "checkpoint" | "stage.evaluated" if walk.now and walk.now[0] == "unknown":
            walk.train(data, event.at)
        case "stage.finished" if not data.get("reused"):
            walk.turn("training", event.at)
        case "attempt.ended":
            walk.at_work = False
            walk.turn("waiting", min(event.at, ended.get(walk.attempt) or event.at))
            walk.attempt += 1
        case kind if kind in _BETWEEN_ATTEMPTS and not walk.at_work:
            walk.turn(_BETWEEN_ATTEMPTS[kind], event.at)
        case _:
            pass
