"""Students of many sizes that fit a teacher's data and what one may spend, found by arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import Field, JsonValue, ValidationError

from jobs.spec import JobSpec
from jobs.sweep_spec import Budget, Limits, Name, Objectives, Parallel
from kdcore.datasets.text import Text
from kdcore.entry import Record
from kdcore.errors import RecipeError
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


def as_sweep(search: StudentSearch) -> dict[str, Any]:
    """Return the sweep that a search is.

    Raises:
        NoStudentError: no known network fits the data and the limits.
    """
    if "student" in search.spec:
        raise NoStudentError("found a student; expected none, since it is what is searched for")
    seen = _seen(search.spec)
    # A spec that is none anyway: the plan of the sweep says what is wrong.
    students: list[Written] = ["mlp"] if seen is None else _students(seen, search)
    if not students:
        raise NoStudentError(
            "found no known network that takes such data within the limits; expected wider limits, "
            "or a sweep over /student with networks of yours"
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


def _students(seen: JobSpec, search: StudentSearch) -> list[Written]:
    """Return networks within the limits, in even steps from the smallest to the largest."""
    gates = [Gate.parse(line) for line in search.limits]
    fitting = [
        (told["parameters"], student)
        for student, told in _known(seen)
        if all(gate.passes(told[gate.metric]) for gate in gates if gate.metric in told)
    ]
    fitting.sort(key=lambda one: one[0])
    last, steps = len(fitting) - 1, max(search.candidates - 1, 1)
    places = {round(step * last / steps) for step in range(search.candidates)} if fitting else ()
    return [fitting[place][1] for place in sorted(places)]


def _known(seen: JobSpec) -> Iterator[tuple[Written, dict[str, float]]]:
    """Yield networks that take the data, each with what arithmetic tells of it."""
    form = seen.data.form()
    if isinstance(seen.data, Text) or (form and isinstance(form[0], Ids)):
        for layers, hidden in _ENCODERS:
            # Of its layers alone; how many ids there are is told by a tokenizer.
            yield _encoder(layers, hidden), {"parameters": 12 * layers * hidden**2}
        return
    shape, classes = form or (_shape(seen), _CLASSES)
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
