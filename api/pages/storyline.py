"""A job's events, told to people: how far each planned stage is, and one sentence an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from api.pages import words
from api.pages.charts import ROLES
from api.schemas import Event, Progress


@dataclass(slots=True)
class Stage:
    """One training of the run, as far as it is known."""

    name: str
    role: str
    seed: int
    total_steps: int
    state: str = "waiting"
    """waiting, running, done, or stopped where the job ended first or is paused."""
    step: int = 0
    scores: dict[str, float] = field(default_factory=dict[str, float])
    seconds: float | None = None

    @property
    def title(self) -> str:
        """The role in words, which of several networks it is, and the seed."""
        which = self.name.removeprefix(self.role).removesuffix(f"-{self.seed}").strip("-")
        role = ROLES.get(self.role, self.role) + (f" ({which.replace('-', ' ')})" if which else "")
        return f"{role}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Line:
    """One event, told."""

    seq: int
    at: datetime
    type: str
    text: str
    level: str
    """info, warning, error or success."""


def stages(events: Sequence[Event], progress: Progress | None, *, active: bool) -> list[Stage]:
    """Return the stages of the newest attempt's plan, in order."""
    plan: dict[str, Stage] = {}
    for event in events:
        data = event.data
        match event.type:
            case "run.started":
                plan = _plan(data)
            case "stage.started" if stage := plan.get(str(data.get("stage"))):
                stage.state, stage.step = "running", int(_number(data, "step"))
            case "stage.finished" if stage := plan.get(str(data.get("stage"))):
                stage.state, stage.step = "done", stage.total_steps
                stage.seconds = _number(data, "seconds")
                stage.scores = dict(_mapping(data, "scores"))
            case _:
                pass
    running = plan.get(progress.stage or "") if progress else None
    if running and progress and running.state == "running":
        running.step = progress.step or running.step
    for stage in plan.values():
        if stage.state == "running" and not active:
            stage.state = "stopped"
    return list(plan.values())


def _plan(data: Mapping[str, Any]) -> dict[str, Stage]:
    return {
        str(entry["name"]): Stage(
            name=str(entry["name"]),
            role=str(entry["role"]),
            seed=int(entry["seed"]),
            total_steps=int(entry["total_steps"]),
        )
        for entry in data.get("stages", [])
    }


def _number(data: Mapping[str, Any], key: str) -> float:
    value = data.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, float]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def lines(events: Sequence[Event]) -> list[Line]:
    """Return the events as sentences, the newest first."""
    return [
        Line(event.seq, event.at, event.type, _sentence(event), _level(event.type))
        for event in reversed(events)
    ]


def _level(kind: str) -> str:
    if kind in {"job.failed", "run.failed"}:
        return "error"
    if kind in {"warning", "job.cancelled", "job.cancel_requested", "run.stopped", "job.purged"}:
        return "warning"
    return "success" if kind in {"job.succeeded", "verdict"} else "info"


def _sentence(event: Event) -> str:  # noqa: C901, PLR0911, PLR0912 - one sentence for each type
    data: dict[str, Any] = event.data
    stage = str(data.get("stage", ""))
    match event.type:
        case "job.queued":
            return "Waiting for a worker"
        case "attempt.started":
            return f"Attempt {event.attempt} started on {data.get('worker')}"
        case "attempt.first_step":
            how = "warm" if data.get("warm") else "cold"
            seconds = f"{_number(data, 'seconds'):.2f}"
            return f"First step {seconds} s after the attempt started ({how})"
        case "attempt.ended":
            how = data.get("reason") or data.get("outcome")
            return f"Attempt {event.attempt} ended: {how}"
        case "job.cancel_requested":
            return f"Cancelling was asked for ({data.get('mode')})"
        case "job.pause_requested":
            return "Pausing was asked for"
        case "job.paused":
            return "Paused: it keeps what it has learned, and waits to be resumed"
        case "job.resumed":
            return "Resumed: it goes on from its checkpoint"
        case "job.changed":
            return f"Changed: {', '.join(sorted(data)) or 'nothing'}"
        case "job.purged":
            return "Its files were removed: the server keeps none for longer"
        case "job.retried":
            limit = data.get("max_runtime_seconds")
            more = f", with {words.duration(limit)} to run" if isinstance(limit, int) else ""
            return f"Queued again, from {data.get('from')}{more}"
        case "job.succeeded":
            return "Succeeded"
        case "job.cancelled":
            return "Cancelled"
        case "job.failed" | "run.failed" | "warning":
            return f"{data.get('code')}: {data.get('message')}"
        case "run.started":
            return f"{len(data.get('stages', []))} stages planned, on {data.get('device')}"
        case "phase":
            return f"Phase: {data.get('phase')}"
        case "stage.started":
            at = f", resumed at step {data['step']}" if data.get("step") else ""
            how = f", in {data['precision']}" if data.get("precision") == "bfloat16" else ""
            return f"{stage} started{at}{how}{', compiled' if data.get('compiled') else ''}"
        case "stage.evaluated":
            where = f"{stage} at step {data.get('step')}"
            return f"{where}: {_reached(data)} ({data.get('split')})"
        case "teacher.chosen":
            return _choice(stage, data)
        case "answers.ready":
            return _answers(stage, data)
        case "checkpoint":
            return f"{stage} saved at step {data.get('step')}"
        case "stage.finished":
            return f"{stage} finished: {_reached(data)}"
        case "verdict":
            return str(data.get("verdict", {}).get("sentence", "Verdict reached"))
        case "artifact":
            return f"{data.get('name')} written, {words.size(_number(data, 'size_bytes'))}"
        case "run.stopped":
            return f"Stopped: {data.get('reason')}"
        case "run.finished":
            return f"Run finished after {words.duration(_number(data, 'seconds'))}"
        case _:
            return event.type


def _reached(data: Mapping[str, Any]) -> str:
    """Say what a network scores."""
    return words.percent(_mapping(data, "scores").get(str(data.get("metric", "accuracy"))))


def _answers(stage: str, data: Mapping[str, Any]) -> str:
    """Say who answers for a teacher in a stage, and what that saves."""
    teacher = f"{data.get('teacher')} for {stage}"
    if data.get("answers") != "kept":
        return f"{teacher}: asked in every step ({data.get('reason')})"
    saved = words.duration(_number(data, "seconds_saved"))
    size = words.size(_number(data, "bytes"))
    answers = f"{int(_number(data, 'samples')):,} answers {data.get('reason')}"
    return f"{teacher}: {answers}, {size}, saving about {saved}"


def _choice(stage: str, data: Mapping[str, Any]) -> str:
    """Say who teaches a stage, and why that one."""
    tried = ", ".join(
        f"{name} {words.percent(score)}" for name, score in _mapping(data, "scores").items()
    )
    midway = words.percent(_number(data, "target"))
    return (
        f"{data.get('teacher')} teaches {stage}: it is nearest the midpoint {midway} (of {tried})"
    )
