"""From a job's row to what OpenAI's clients read."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Final, cast

from pydantic import JsonValue

from api import views
from api.facade.bodies import (
    CheckpointMetrics,
    FineTuningCheckpoint,
    FineTuningEvent,
    FineTuningJob,
    JobError,
    UsedHyperparameters,
    UsedMethod,
)
from api.facade.networks import called
from api.pages import storyline
from api.schemas import Failure, Progress
from api.telling import is_terminal
from jobs import tables
from jobs.keyed import JobRow
from jobs.states import Status
from kdcore.training import DEFAULT_EPOCHS, Training
from kdcore.verdict import Verdict

STUDENT: Final = "student.safetensors"
_STATUSES: Final = {Status.PAUSING: "running", Status.CANCELLING: "running"}
_LEVELS: Final = {"warning": "warn", "error": "error"}
_MEASURED: Final = frozenset({"stage.evaluated", "stage.finished"})
_TOLD_ELSEWHERE: Final = frozenset({"name", "labels"})
_UPLOADED: Final = "dataset:"


def fine_tuning_job(row: JobRow, files: Collection[str] = ()) -> FineTuningJob:
    """Return a job with the names of the files that it has delivered."""
    spec: dict[str, Any] = json.loads(row.spec)
    recipe: dict[str, Any] = json.loads(row.recipe)
    status = Status(row.status)
    failure = Failure.model_validate_json(row.failure) if row.failure else None
    progress = Progress.model_validate_json(row.progress) if row.progress else None
    training, validation = _files_of(spec)
    student = called(spec["student"])
    return FineTuningJob.model_validate(
        {
            "id": row.id,
            "created_at": seconds_of(row.created_at),
            "finished_at": seconds_of(row.finished_at) if row.finished_at else None,
            "estimated_finish": _estimated(status, progress),
            "status": _STATUSES.get(status, status.value),
            "model": student,
            "fine_tuned_model": f"job:{row.id}" if STUDENT in files else None,
            "organization_id": row.project,
            "result_files": [f"{row.id}.{name}" for name in sorted(files)],
            "training_file": training,
            "validation_file": validation,
            "hyperparameters": _hyperparameters(recipe.get("training", {})),
            "method": UsedMethod(distillation=_method(spec, training)),
            "seed": (recipe.get("seeds") or [0])[0],
            "metadata": json.loads(row.labels),
            "error": failure
            and JobError(code=failure.code, message=failure.message, hint=failure.hint),
            "state": status.value,
            "terminal": is_terminal(row),
            "phase": row.phase,
            "progress": progress,
            # An older version may have left out what this one tells.
            "verdict": Verdict.model_validate_json(row.verdict) if row.verdict else None,
        }
    )


def events_of(rows: Sequence[tables.Event]) -> list[FineTuningEvent]:
    """Return events, given the newest first, as they are told to people."""
    lines = storyline.lines([views.event(row) for row in reversed(rows)])
    return [
        FineTuningEvent.model_validate(
            {
                "id": f"{row.job_id}.{row.seq}",
                "created_at": seconds_of(row.at),
                "level": _LEVELS.get(line.level, "info"),
                "message": line.text,
                "type": "metrics" if row.type in _MEASURED else "message",
                "data": {"event": row.type, "attempt": row.attempt, **row.data},
            }
        )
        for row, line in zip(rows, lines, strict=True)
    ]


def checkpoints_of(
    job: FineTuningJob, finished: Sequence[tables.Event]
) -> list[FineTuningCheckpoint]:
    """Return the networks of a job that others can begin with: once there is one, the student.

    `finished` tells of the trainings that have ended. Checkpoints on the way are a worker's own.
    """
    steps = [event for event in finished if event.data.get("role") == "student"]
    if job.fine_tuned_model is None or job.verdict is None or not steps:
        return []
    step = int(steps[0].data["step"])
    return [
        FineTuningCheckpoint(
            id=f"{job.id}.student",
            created_at=seconds_of(steps[0].at),
            fine_tuned_model_checkpoint=job.fine_tuned_model,
            fine_tuning_job_id=job.id,
            metrics=CheckpointMetrics(
                step=step, scores={job.verdict.metric: job.verdict.student.score.mean}
            ),
            step_number=step,
        )
    ]


def seconds_of(moment: str | datetime) -> int:
    """Return a moment of the ledger in whole seconds since 1970."""
    if isinstance(moment, str):  # SQLite's, which is UTC
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return int(moment.timestamp())


def _estimated(status: Status, progress: Progress | None) -> int | None:
    if status is not Status.RUNNING or progress is None or progress.eta_seconds is None:
        return None
    return int(time.time() + progress.eta_seconds)


def _files_of(spec: dict[str, Any]) -> tuple[str, str | None]:
    """Return what a job learns from, and what is held out."""
    data = spec["data"]
    if not isinstance(data, dict):
        return str(data), None
    fields = cast("dict[str, Any]", data)
    training = fields.get("path") or fields.get("name")
    held_out = fields.get("validation_path") or fields.get("test_path")
    return (
        str(training).removeprefix(_UPLOADED),
        str(held_out).removeprefix(_UPLOADED) if held_out else None,
    )


def _method(spec: dict[str, Any], training: str) -> dict[str, JsonValue]:
    """Return the fields of a spec that OpenAI has no word for."""
    told = {name: value for name, value in spec.items() if name not in _TOLD_ELSEWHERE}
    if isinstance(told["student"], str):
        del told["student"]
    if isinstance(told["data"], str):
        del told["data"]
    else:
        told["data"] = {
            name: value
            for name, value in told["data"].items()
            if name != "path" or value != f"{_UPLOADED}{training}"
        }
    return told


def _hyperparameters(training: dict[str, Any]) -> UsedHyperparameters:
    """Tell a recipe's training, of which an older version may have known less."""
    default = Training()
    epochs = training.get("num_train_epochs")
    if epochs is None and training.get("max_steps") is None:
        epochs = DEFAULT_EPOCHS
    rate = training.get("learning_rate", default.learning_rate)
    return UsedHyperparameters(
        n_epochs="auto" if epochs is None else epochs,
        batch_size=training.get("per_device_train_batch_size", default.per_device_train_batch_size),
        learning_rate_multiplier=rate / default.learning_rate,
    )
