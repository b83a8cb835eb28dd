"""A job in MLflow's words: params, metrics and tags within its limits. Nothing here talks to it."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from jobs.metrics import STEP, Series
from jobs.settings import Settings
from jobs.states import Status
from jobs.tables import Job

MOST_PARAMS: Final = 100
"""In one call; of tags as well."""
MOST_METRICS: Final = 1000
"""In one call."""
MOST_BYTES: Final = 600_000
"""Of one call, as JSON; MLflow takes a million."""
PARAM_CHARACTERS: Final = 6000
TAG_CHARACTERS: Final = 5000
KEY_CHARACTERS: Final = 250
MODEL_LABEL: Final = "registered-model"
"""Label that names which of a project's models a student is a version of."""
JOB_TAG: Final = "stillhouse.job"
"""Tag that a run is found by."""

RUN_STATUS: Final[Mapping[Status, str]] = {
    Status.SUCCEEDED: "FINISHED",
    Status.FAILED: "FAILED",
    Status.CANCELLED: "KILLED",
}
"""What the end of a job is called there; whatever has not ended, be it paused, is RUNNING."""
RUNNING: Final = "RUNNING"

_NO_KEY: Final = re.compile(r"[^A-Za-z0-9_. /-]")
_NO_MODEL: Final = re.compile(r"[^A-Za-z0-9._-]+")
_MODEL_CHARACTERS: Final = 100

Entry = tuple[str, str]
Point = tuple[str, float, int]
"""A metric's key, value and step."""


def key_of(*parts: str) -> str:
    """Return a key that MLflow takes: of its characters, and none that is another path's name."""
    written = _NO_KEY.sub("_", "/".join(parts))
    names = [name if name.strip(".") else "_" for name in written.split("/")]
    return "/".join(names)[:KEY_CHARACTERS].rstrip("/")


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters; one that was longer ends with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def params_of(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return a resolved recipe as params, `training.max_steps` and so on, without what is unset."""
    params: dict[str, str] = {}
    for path, value in _leaves(recipe):
        key = key_of(path)
        place = 2
        while key in params:  # two keys of a client's that differ in what MLflow does not take
            key = f"{key_of(path)[: KEY_CHARACTERS - 8]}_{place}"
            place += 1
        params[key] = shortened(_written(value), PARAM_CHARACTERS)
    return params


def tags_of(job: Job) -> dict[str, str]:
    """Return the tags of a job as it is now."""
    verdict = job.verdict or {}
    failure = job.failure or {}
    told = {
        JOB_TAG: job.id,
        "stillhouse.project": job.project,
        "stillhouse.status": job.status,
        "stillhouse.attempt": str(job.attempt),
        "stillhouse.method": job.method,
        "stillhouse.teacher": job.teacher,
        "stillhouse.student": job.student,
        "stillhouse.outcome": verdict.get("outcome"),
        "stillhouse.gates_passed": _flag(job.gates_passed),
        "stillhouse.gates": "\n".join(_gates(verdict)) or None,
        "stillhouse.failure": failure.get("code"),
        # What is shown as a run's description.
        "mlflow.note.content": verdict.get("sentence") or failure.get("message"),
        # Labels have a name of their own in front: nobody's label is another job's id.
        **{f"label.{key_of(key)}": value for key, value in job.labels.items()},
    }
    return {key: shortened(value, TAG_CHARACTERS) for key, value in told.items() if value}


def numbers_of(verdict: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a verdict as metrics: `verdict/student/accuracy`, `gate/…` and more."""
    metric = str(verdict.get("metric", "accuracy"))
    found: dict[str, float] = {}
    for path, value in _leaves(verdict, separator="/"):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            parts = [metric if part == "score" else part for part in path.split("/")]
            named = parts[:-1] if parts[-1] == "mean" and parts[-2:-1] == [metric] else parts
            found[key_of("verdict", *named)] = float(value)
    for gate in verdict.get("gates", []):
        if gate.get("value") is not None:
            found[key_of("gate", str(gate["metric"]))] = float(gate["value"])
    passed = verdict.get("gates_passed")
    if passed is not None:
        found["gates_passed"] = float(passed)
    return {key: value for key, value in found.items() if math.isfinite(value)}


def points_of(stage: str, series: Series) -> Iterator[list[Point]]:
    """Yield the points of a stage, step by step, as many steps together as fit into one call."""
    keys = {name: key_of(stage, name) for name in series.columns if name != STEP}
    part: list[Point] = []
    for row, step in enumerate(series.columns[STEP]):
        values = ((key, series.columns[name][row]) for name, key in keys.items())
        told = [(key, value, int(step or 0)) for key, value in values if value is not None]
        if part and len(part) + len(told) > MOST_METRICS:
            yield part
            part = []
        part += told
    if part:
        yield part


def milliseconds(moment: datetime) -> int:
    """Return a moment as MLflow has it."""
    return int(moment.timestamp() * 1000)


def experiment_of(settings: Settings, project: str) -> str:
    """Return the name of a project's experiment."""
    return settings.mlflow_experiment.replace("{project}", project)


def model_of(settings: Settings, project: str, labels: Mapping[str, str]) -> str:
    """Return the name of the model that a job's student is to be a version of.

    No project's name holds a dot, so nothing that a spec says leads to another project's model.
    """
    ours = settings.mlflow_model.replace("{project}", project)
    asked = _NO_MODEL.sub("-", labels.get(MODEL_LABEL, ""))[:_MODEL_CHARACTERS].strip("-.")
    return f"{ours}.{asked}" if asked else ours


def calls(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Cut params or tags into calls: neither too many in one, nor too many bytes."""
    part: list[Entry] = []
    size = 0
    for entry in entries:
        weight = len(json.dumps(entry)) + 64
        if part and (len(part) == MOST_PARAMS or size + weight > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(entry)
        size += weight
    if part:
        yield part


def _leaves(value: Any, path: str = "", separator: str = ".") -> Iterator[tuple[str, Any]]:
    """Yield what a document holds, each with its path; lists of plain values stay whole."""
    if value is None:
        return
    if isinstance(value, dict):
        for key, inner in cast("dict[str, Any]", value).items():
            yield from _leaves(inner, f"{path}{separator}{key}" if path else key, separator)
    elif isinstance(value, list) and any(isinstance(one, (dict, list)) for one in _items(value)):
        for place, inner in enumerate(_items(value)):
            yield from _leaves(inner, f"{path}{separator}{place}", separator)
    else:
        yield path, value


def _items(value: Any) -> Sequence[Any]:
    return cast("list[Any]", value)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _flag(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()


def _gates(verdict: Mapping[str, Any]) -> Iterator[str]:
    for gate in verdict.get("gates", []):
        yield f"{'passed' if gate['passed'] else 'missed'}: {gate['gate']}, found {gate['value']}"
