"""A job's events, folded into what a person wants to know now."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stillhouse.bodies import EventBody
from stillhouse.words import duration, percent, whole

Data = dict[str, Any]
"""What an event carries; the server's version decides what is in it."""
_MOST_LOSSES: Final = 2000


@dataclass
class Stage:
    """One training of the run, as far as its events have told."""

    name: str
    role: str
    seed: int | None = None
    step: int = 0
    total_steps: int = 0
    epoch: float | None = None
    metrics: dict[str, float | None] = field(default_factory=dict[str, float | None])
    done: bool = False
    metric: str | None = None
    """What it is validated by."""
    validated: dict[int, float] = field(default_factory=dict[int, float])
    """The metric on the validation samples, by step."""
    tested: float | None = None
    """The metric on the test part, once it has ended."""
    losses: dict[int, float] = field(default_factory=dict[int, float])
    """As far as they were heard of, by step."""

    @property
    def reached(self) -> float | None:
        """The newest score, on the validation samples where there are any."""
        return self.validated[max(self.validated)] if self.validated else self.tested

    def heard(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """Take in what was told of a step."""
        self.step, self.metrics = step, dict(metrics)
        if (loss := metrics.get("loss")) is not None and math.isfinite(loss):
            self.losses[step] = loss
        if len(self.losses) > _MOST_LOSSES:
            self.losses = dict(list(self.losses.items())[::2])

    def forget_behind(self, step: int) -> None:
        """What is trained once more is told once more."""
        self.validated = {at: value for at, value in self.validated.items() if at <= step}
        self.losses = {at: value for at, value in self.losses.items() if at <= step}

    @property
    def title(self) -> str:
        """Role, which of several networks it is, and seed, in words."""
        which = self.name.removeprefix(self.role).removesuffix(f"-{self.seed}")
        words = f"{self.role}{which}".replace("_", " ").replace("-", " ")
        return (
            words if self.seed is None or self.role == "teacher" else f"{words}, seed {self.seed}"
        )


@dataclass
class Story:
    """Where a job stands; `tell` moves it on by one event."""

    status: str = "queued"
    phase: str | None = None
    percent: float = 0.0
    eta_seconds: float | None = None
    stages: dict[str, Stage] = field(default_factory=dict[str, Stage])
    current: Stage | None = None

    def tell(self, event: EventBody) -> str | None:
        """Take an event in; return the line it is worth to people, if any."""
        heard = _HEARD.get(event["type"])
        return heard(self, event, event["data"]) if heard else None

    def queued(self, _event: EventBody, _data: Data) -> str | None:
        """A new job waits."""
        return "queued: waiting for a worker"

    def retried(self, _event: EventBody, _data: Data) -> str | None:
        """An ended job waits again."""
        self.status, self.current, self.percent = "queued", None, 0.0
        return "queued again"

    def attempt_started(self, event: EventBody, data: Data) -> str | None:
        """A worker has taken the job."""
        self.status = "running"
        worker = data.get("worker") or data.get("worker_id")
        on = f" on {worker}" if worker else ""
        return f"attempt {event.get('attempt') or data.get('attempt')} starts{on}"

    def attempt_ended(self, event: EventBody, data: Data) -> str | None:
        """A worker has let the job go; only an unplanned end is news."""
        outcome = data.get("outcome")
        if outcome in {"succeeded", "failed", "cancelled", "paused"}:
            return None
        self.status = "queued"
        why = data.get("reason") or outcome
        return f"attempt {event.get('attempt')} ended: {why}; it will be taken up again"

    def run_started(self, _event: EventBody, data: Data) -> str | None:
        """The run has said which trainings it will do."""
        entries: list[Data] = data.get("stages") or []
        for entry in entries:
            stage = self._at({**entry, "stage": entry["name"]})
            stage.total_steps = int(entry.get("total_steps") or 0)
        return f"{len(self.stages)} trainings on {data.get('device') or 'cpu'}"

    def phase_began(self, _event: EventBody, data: Data) -> str | None:
        """The run does something else now."""
        self.phase = str(data.get("phase"))
        return None

    def stage_started(self, _event: EventBody, data: Data) -> str | None:
        """A training begins, or goes on after a checkpoint."""
        stage = self.current = self._at(data)
        stage.step = int(data.get("step") or 0)
        stage.total_steps = int(data.get("total_steps") or 0)
        stage.forget_behind(stage.step)
        return f"{stage.title}: goes on at step {whole(stage.step)}" if stage.step else None

    def progressed(self, _event: EventBody, data: Data) -> str | None:
        """A training has come further."""
        self.status = "running"
        self.percent = float(data.get("percent") or 0.0)
        eta = data.get("run_eta_seconds", data.get("eta_seconds"))
        self.eta_seconds = None if eta is None else float(eta)
        if data.get("stage"):
            stage = self.current = self._at(data)
            stage.heard(int(data.get("step") or 0), data.get("metrics") or {})
            stage.total_steps = int(data.get("total_steps") or stage.total_steps)
            stage.epoch = data.get("epoch")
        return None

    def stage_evaluated(self, _event: EventBody, data: Data) -> str | None:
        """A network was measured on samples that it does not learn from."""
        stage, metric = self._at(data), str(data.get("metric", "accuracy"))
        scores: dict[str, float | None] = data.get("scores") or {}
        score = scores.get(metric)
        if data.get("split") == "validation" and score is not None and math.isfinite(score):
            stage.metric = metric
            stage.validated[int(data["step"])] = score
        return None

    def stage_finished(self, _event: EventBody, data: Data) -> str | None:
        """A training has ended and was measured."""
        stage = self._at(data)
        stage.done, stage.step = True, stage.total_steps
        scores: dict[str, float | None] = data.get("scores") or {}
        score = stage.tested = scores.get(data.get("metric", "accuracy"))
        said = "" if score is None else f" {percent(score)}"
        return f"{stage.title}:{said} in {duration(data.get('seconds'))}"

    def teacher_chosen(self, _event: EventBody, data: Data) -> str | None:
        """One of several networks teaches; the others were tried."""
        scores: dict[str, float] = data.get("scores") or {}
        tried = ", ".join(f"{name} {percent(score)}" for name, score in scores.items())
        midway = percent(data.get("target"))
        return (
            f"{data.get('teacher')} teaches {data.get('stage')}: "
            f"it is nearest the midpoint {midway} (of {tried})"
        )

    def answers_ready(self, _event: EventBody, data: Data) -> str | None:
        """A teacher's answers are kept, which is news the first time; or it is asked live."""
        if data.get("reason") != "written":
            return None
        return (
            f"{data.get('teacher')}: {data.get('samples'):,} answers are kept, "
            f"which saves about {duration(data.get('seconds_saved'))} in this training"
        )

    def warned(self, _event: EventBody, data: Data) -> str | None:
        """The run found something that its owner should know."""
        hint = f" ({data['hint']})" if data.get("hint") else ""
        return f"warning: {data.get('message')}{hint}"

    def cancel_requested(self, _event: EventBody, _data: Data) -> str | None:
        """Somebody asked for the end."""
        self.status = "cancelling"
        return "cancel requested"

    def pause_requested(self, _event: EventBody, _data: Data) -> str | None:
        """Somebody asked for a pause."""
        self.status = "pausing"
        return "pause requested"

    def paused(self, _event: EventBody, _data: Data) -> str | None:
        """It waits to be resumed."""
        self.status = "paused"
        return "paused"

    def resumed(self, _event: EventBody, _data: Data) -> str | None:
        """It goes on."""
        self.status = "queued"
        return "resumed"

    def ended(self, event: EventBody, _data: Data) -> str | None:
        """The job is over; how, its verdict tells."""
        self.status = event["type"].removeprefix("job.")
        if self.status == "succeeded":
            self.percent = 100.0
        return None

    def _at(self, data: Data) -> Stage:
        name = str(data["stage"])
        stage = self.stages.setdefault(name, Stage(name, str(data.get("role") or name)))
        if data.get("role"):
            stage.role = str(data["role"])  # which not every event tells
        if data.get("seed") is not None:
            stage.seed = int(data["seed"])
        return stage


_HEARD: Final[dict[str, Callable[[Story, EventBody, Data], str | None]]] = {
    "job.queued": Story.queued,
    "job.retried": Story.retried,
    "job.cancel_requested": Story.cancel_requested,
    "job.pause_requested": Story.pause_requested,
    "job.paused": Story.paused,
    "job.resumed": Story.resumed,
    "job.succeeded": Story.ended,
    "job.failed": Story.ended,
    "job.cancelled": Story.ended,
    "attempt.started": Story.attempt_started,
    "attempt.ended": Story.attempt_ended,
    "run.started": Story.run_started,
    "phase": Story.phase_began,
    "progress": Story.progressed,
    "stage.started": Story.stage_started,
    "stage.evaluated": Story.stage_evaluated,
    "stage.finished": Story.stage_finished,
    "teacher.chosen": Story.teacher_chosen,
    "answers.ready": Story.answers_ready,
    "warning": Story.warned,
}
