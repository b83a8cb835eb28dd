"""The catalogue: every entry of every axis, and what can be said about it."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Final, cast

from pydantic import BaseModel, JsonValue

from kdcore.curricula import CURRICULA
from kdcore.datasets import DATASETS
from kdcore.entry import Entry, discover
from kdcore.errors import RecipeError
from kdcore.learned import Learner
from kdcore.method import Method, Pair
from kdcore.model import Model
from kdcore.models import MODELS, PLUGINS
from kdcore.objective import Objective
from kdcore.objectives import OBJECTIVES
from kdcore.paths import PATHS
from kdcore.reach import NEUTRAL, unreached
from kdcore.tasks import TASKS
from kdcore.temperatures import TEMPERATURES
from kdcore.weightings import WEIGHTINGS

METHODS: Mapping[str, type[Method]] = discover(
    "kdcore.objectives",
    "kdcore.temperatures",
    "kdcore.weightings",
    "kdcore.paths",
    "kdcore.curricula",
    contract=Method,
)
"""The papers: each a combination on the axes, found in the file of the entry it rests on."""

AXES: Mapping[str, Mapping[str, type[Entry]]] = {
    "methods": METHODS,
    "objectives": OBJECTIVES,
    "temperatures": TEMPERATURES,
    "weightings": WEIGHTINGS,
    "paths": PATHS,
    "curricula": CURRICULA,
    "models": MODELS,
    "tasks": TASKS,
    "datasets": DATASETS,
}
"""Every entry by axis and name."""

FIELDS: Final = {
    "objectives": "objectives",
    "temperatures": "temperature",
    "weightings": "weighting",
    "paths": "path",
    "curricula": "curriculum",
}
"""The axes that a method is written on, and each one's field in a recipe."""

HEADINGS = ("Formula", "Shapes", "Paper", "Source")
"""What the docstring of an entry's file must tell."""

_IMAGE = (3, 32, 32)
_CLASSES = 10


def describe(axis: str, entry: type[Entry]) -> dict[str, JsonValue]:
    """Return what is known of an entry: headings, needs, what it may join, defaults, JSON Schema.

    A need that depends on the options is told as that of the entry; a method has the needs of all
    that it writes.
    """
    module = inspect.getdoc(sys.modules[entry.__module__]) or ""
    described: dict[str, JsonValue] = {
        "axis": axis,
        "name": entry.model_fields["name"].default,
        "summary": (inspect.getdoc(entry) or "").strip(),
        **_headings(module),
        "arxiv": re.findall(r"arXiv:(\d{4}\.\d{4,5})", module),
        "defaults": _defaults(entry),
        "schema": entry.model_json_schema(),
    }
    if axis != "tasks":
        serving = [name for name in TASKS if entry.serves(name)]
        described["tasks"] = cast("JsonValue", serving)
    if issubclass(entry, Learner):
        described |= _needs([entry])
    if issubclass(entry, Objective):
        described |= {
            "needs_teacher": entry.needs_teacher,
            "softens_logits": entry.softens,
            **_demands([entry]),
        }
    if issubclass(entry, Method):
        axes = _axes(entry)
        objectives = _written_objectives(axes)
        described |= {
            "title": entry.title,
            "axes": axes,
            "by_pair": _by_pair(entry),
            **_needs([*objectives, *_written_learners(axes)]),
            **_demands(objectives),
        }
    if issubclass(entry, Model):
        described["known"] = {label: dict(fields) for label, fields in entry.known.items()}
        described["stages"] = _stages(entry)
        described["plugin"] = PLUGINS.packages.get(str(described["name"]))
    if joins := _joins(axis, entry):
        described["joins"] = joins
    return described


def _headings(docstring: str) -> dict[str, JsonValue]:
    """Split a docstring at its four headings; each body's indentation is taken off."""
    parts = re.split(rf"^({'|'.join(HEADINGS)})$", docstring, flags=re.MULTILINE)
    bodies = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {heading.lower(): inspect.cleandoc(bodies.get(heading, "")) for heading in HEADINGS}


def _defaults(entry: type[Entry]) -> dict[str, JsonValue]:
    defaults: dict[str, JsonValue] = {}
    for name, field in entry.model_fields.items():
        if name == "name" or field.is_required():
            continue
        value = field.get_default(call_default_factory=True, validated_data={})
        defaults[name] = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return defaults


def _needs(learners: Sequence[type[Learner]]) -> dict[str, JsonValue]:
    """Return what any of them asks of the data and of the networks, and whether it learns."""
    return {
        "needs_labels": any(one.needs_labels for one in learners),
        "needs_features": any(one.taps is not Learner.taps for one in learners),
        "needs_indices": any(one.needs_indices for one in learners),
        "learns": any(one.heads is not Learner.heads for one in learners),
    }


def _demands(objectives: Sequence[type[Objective]]) -> dict[str, JsonValue]:
    """Return what any of them asks of a batch, and what it makes of the networks."""
    return {
        "couples_samples": any(one.couples_samples for one in objectives),
        "needs_tokens": any(one.needs_tokens for one in objectives),
        "smallest_batch": max(one.smallest_batch for one in objectives),
        "changes_student": any(
            one.student_model is not Objective.student_model for one in objectives
        ),
        "prepares_teacher": any(one.tutor is not Objective.tutor for one in objectives),
    }


def _axes(method: type[Method]) -> dict[str, JsonValue]:
    """Return the axes that the method writes by default; what it requires is its first example."""
    return method.model_validate(first_example(method)).axes(Pair("", ""))


def first_example(entry: type[Entry]) -> dict[str, JsonValue]:
    """Return the fields that an entry requires, each with the first example that it gives."""
    return {
        name: cast("JsonValue", (field.examples or [None])[0])
        for name, field in entry.model_fields.items()
        if field.is_required()
    }


def _written_objectives(axes: Mapping[str, JsonValue]) -> list[type[Objective]]:
    written = cast("list[dict[str, str]]", axes["objectives"])
    return [OBJECTIVES[one["name"]] for one in written]


def _written_learners(axes: Mapping[str, JsonValue]) -> list[type[Learner]]:
    """Return the temperature and the weighting that a method writes, where it does."""
    return [
        cast("type[Learner]", AXES[axis][cast("dict[str, str]", written)["name"]])
        for axis in ("temperatures", "weightings")
        if (written := axes.get(FIELDS[axis]))
    ]


def _by_pair(method: type[Method]) -> list[JsonValue]:
    return [
        {"field": field, "teacher": pair.teacher, "student": pair.student, "value": value}
        for field, table in method.by_pair.items()
        for pair, value in table.items()
    ]


def _stages(model: type[Model]) -> dict[str, JsonValue]:
    """Return the shape of each stage's output for a colour image of 32x32 and ten classes."""
    try:
        shapes = model.model_validate(first_example(model)).shapes(_IMAGE, _CLASSES)
    except RecipeError:
        return {}
    return {name: list(shape) for name, shape in (shapes or {}).items()}


def _joins(axis: str, entry: type[Entry]) -> dict[str, JsonValue]:
    """Return for each other axis whether the entry may join it, with which entries, and why not.

    A method tells it of the axes that a recipe may write beside it: all but the objectives.
    """
    if axis == "methods":
        written = _written_objectives(_axes(cast("type[Method]", entry)))
        taught = [one for one in written if one.needs_teacher]
        return {other: _joined(taught, other) for other in FIELDS if other != "objectives"}
    if axis not in FIELDS:
        return {}
    return {other: _joined([entry], other) for other in FIELDS if other != axis}


def _joined(entries: Sequence[type[Entry]], other: str) -> JsonValue:
    """Tell what of another axis may stand beside entries; one of them that it reaches is enough."""
    obstacles = {
        name: [_obstacle(one, candidate) for one in entries]
        for name, candidate in AXES[other].items()
    }
    fitting = [name for name, found in obstacles.items() if None in found]
    reasons = [one for name in obstacles if name not in fitting for one in obstacles[name] if one]
    return {
        "may": any(AXES[other][name] not in NEUTRAL for name in fitting),
        "entries": list(fitting),
        "why_not": ", or ".join(dict.fromkeys(reasons)) or None,
    }


def _obstacle(one: type[Entry], other: type[Entry]) -> str | None:
    if not any(one.serves(task) and other.serves(task) for task in TASKS):
        return "there is no task in which both have a meaning"
    if issubclass(one, Objective):
        return unreached(other, one)
    return unreached(one, other) if issubclass(other, Objective) else None
