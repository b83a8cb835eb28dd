"""Students of many sizes that fit a teacher's data and what one may spend, found by arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final

from pydantic import Field, JsonValue, ValidationError

from jobs.spec import JobSpec
from jobs.sweep_spec import Budget, Limits, Name, Objectives, Parallel
from kdcore.data_report import DataReport
from kdcore.datasets.text import Text
from kdcore.entry import Record
from kdcore.errors import RecipeError
from kdcore.extent import Form
from kdcore.gate import Gate
from kdcore.models import MODELS
from kdcore.reading.image_set import ImageSet
from kdcore.sides import Student
from kdcore.tokens import Ids

_WIDTHS: Final = (4, 8, 16, 32, 64, 128, 256, 512)
_ENCODERS: Final = tuple((layers, hidden) for layers in (1, 2, 3, 4, 6) for hidden in (32, 64, 128))
_FLOAT_BYTES: Final = 4
_IMAGE_DIMENSIONS: Final = 3
_CLASSES: Final = 10
"""Assumed of data that is not read yet: heads are small."""
_COLUMNS: Final = 16
"""As above, of a table."""

Written = dict[str, JsonValue] | str
"""A student as a spec writes it."""


class StudentSearch(Record):
    """A teacher, data and limits; students are tried that keep within."""

    name: Name = None
    """Trials are called after it."""
    spec: dict[str, JsonValue]
    """As for POST /v1/jobs, without a student."""
    limits: Limits = []
    """Lines as gates have them, such as `parameters <= 50000` and `latency_ms <= 1`. What can be
    reckoned is kept beforehand; all is measured, and what exceeds a limit is ranked last."""
    candidates: Annotated[int, Field(ge=1, le=64)] = 8
    """Students that are tried, from the smallest to the largest within the limits."""
    objectives: Objectives = []
    """What decides; the student's score and then its parameters where nothing is said."""
    max_parallel: Parallel = 4
    """Trials that wait or run at a time."""
    budget: Budget = Budget()
    """When no more are begun."""


class NoStudentError(ValueError):
    """Nothing that is known fits."""


ReportOf = Callable[[JobSpec], DataReport | None]
"""Returns what was found out of a spec's data, where somebody has asked."""


def as_sweep(search: StudentSearch, report_of: ReportOf) -> dict[str, Any]:
    """Return the sweep that a search is.

    Raises:
        NoStudentError: no known network fits the data and the limits.
    """
    if "student" in search.spec:
        raise NoStudentError("found a student; expected none, since it is what is searched for")
    seen = _seen(search.spec)
    # A spec that is none anyway: the plan of the sweep says what is wrong.
    students: list[Written] = ["mlp"] if seen is None else _students(seen, search, report_of(seen))
    if not students:
        raise NoStudentError(
            "found no known network that takes such data within the limits and has fewer "
            "parameters than the teacher; expected wider limits, or a sweep over /student with "
            "networks of yours"
        )
    objectives = [one.model_dump() for one in search.objectives]
    metric = seen.task.metric if seen else "accuracy"
    return {
        **search.model_dump(mode="json", exclude={"candidates", "objectives"}),
        "space": {"/student": students},
        "strategy": "grid",
        "objectives": objectives or [f"student.{metric}", "parameters"],
    }


def _seen(base: dict[str, JsonValue]) -> JobSpec | None:
    """Return the spec with any student that makes it one, to see its data and its task."""
    for student in ("mlp", "resnet8", _encoder(1, 32)):
        try:
            return JobSpec.model_validate({**base, "student": student})
        except ValidationError:
            continue
    return None


def _students(seen: JobSpec, search: StudentSearch, report: DataReport | None) -> list[Written]:
    """Return networks within the limits, in even steps from the smallest to the largest."""
    gates = [Gate.parse(line) for line in search.limits]
    form = _form(seen, report)
    most = _parameters_of_teacher(seen, form)
    fitting = [
        (told["parameters"], student)
        for student, told in _known(seen, form)
        if told["parameters"] < most
        and all(gate.passes(told[gate.metric]) for gate in gates if gate.metric in told)
    ]
    fitting.sort(key=lambda one: one[0])
    last, steps = len(fitting) - 1, max(search.candidates - 1, 1)
    places = {round(step * last / steps) for step in range(search.candidates)} if fitting else ()
    return [fitting[place][1] for place in sorted(places)]


def _form(seen: JobSpec, report: DataReport | None) -> Form:
    """Return the shape of a sample and the classes: known, found out, or else assumed."""
    if form := seen.data.form():
        return form
    if report is None:
        return _shape(seen), _CLASSES
    shape = _shape(seen)
    if report.columns:
        # A number for each column of numbers, one for each text of the others.
        shape = (sum(1 if one.kind == "number" else one.distinct for one in report.columns),)
    return shape, report.num_classes or _CLASSES


def _parameters_of_teacher(seen: JobSpec, form: Form) -> float:
    """Return what every student is to be smaller than; infinity where nobody knows yet."""
    model, (shape, classes) = seen.teacher.model, form
    if model.foreign or isinstance(seen.data, Text):
        return math.inf
    try:
        return model.parameters(shape, seen.task.outputs(classes)) or math.inf
    except RecipeError:
        return math.inf  # the plan of the sweep says what is wrong


def _known(seen: JobSpec, form: Form) -> Iterator[tuple[Written, dict[str, float]]]:
    """Yield networks that take the data, each with what arithmetic tells of it."""
    shape, classes = form
    if isinstance(seen.data, Text) or isinstance(shape, Ids):
        for layers, hidden in _ENCODERS:
            # Of its layers alone; how many ids there are is told by a tokenizer.
            yield _encoder(layers, hidden), {"parameters": 12 * layers * hidden**2}
        return
    known: list[Written] = [{"model": {"name": "mlp", "hidden": [width]}} for width in _WIDTHS]
    if len(shape) == _IMAGE_DIMENSIONS:
        known += [label for entry in MODELS.values() for label in entry.known]
    for student in known:
        model = Student.model_validate(
            student if isinstance(student, dict) else {"model": student}
        ).model
        try:
            parameters = model.parameters(shape, seen.task.outputs(classes))
            flops = model.flops(shape, seen.task.outputs(classes))
        except RecipeError:
            continue  # it does not take such samples
        if parameters is not None and flops is not None:
            size_mb = parameters * _FLOAT_BYTES / 1e6
            yield student, {"parameters": parameters, "size_mb": size_mb, "flops": flops}


def _shape(seen: JobSpec) -> tuple[int, ...]:
    """Return the shape of a sample, as far as a spec tells it."""
    if isinstance(seen.data, ImageSet):
        size = seen.data.image_size
        return (seen.data.channels, *((size, size) if isinstance(size, int) else size))
    return (_COLUMNS,)


def _encoder(layers: int, hidden: int) -> dict[str, JsonValue]:
    config: dict[str, JsonValue] = {
        "model_type": "bert",
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": hidden // 32,
        "intermediate_size": 4 * hidden,
    }
    return {"model": {"name": "huggingface_config", "config": config}}
