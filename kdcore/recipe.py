"""The waist: one run, fully described.

Everything above this file (the service, the command line) makes recipes, everything below it runs
them. A recipe that was validated is complete: defaults are filled in, the method is spelt out on
the axes, and dumping and validating it again gives the same recipe.
"""

from __future__ import annotations

import functools
import hashlib
import json
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from kdcore.caching import Caching
from kdcore.catalog import METHODS
from kdcore.comparing import Baseline, Evaluation
from kdcore.computing import Runtime
from kdcore.curricula import CURRICULA
from kdcore.curricula.everything import Everything
from kdcore.curriculum import Curriculum
from kdcore.dataset import Dataset
from kdcore.datasets import DATASETS
from kdcore.entry import OneOf, Record
from kdcore.errors import RecipeError
from kdcore.fit import Measure, by_arithmetic, check_fit
from kdcore.gate import Gate
from kdcore.locking import Lock
from kdcore.method import Method, Pair
from kdcore.model import Model
from kdcore.objective import Objective
from kdcore.objectives import OBJECTIVES
from kdcore.path import Path
from kdcore.paths import PATHS
from kdcore.paths.direct import Direct
from kdcore.route import Leg, plan_route
from kdcore.sense import CHECKS, ROUTE_CHECKS
from kdcore.shipping import Forms, Latency, LatencyField, Quantization
from kdcore.sides import AnyModel, Student, Teacher, a_network
from kdcore.task import Task
from kdcore.tasks import TASKS
from kdcore.tasks.classification import Classification
from kdcore.temperature import Temperature
from kdcore.temperatures import TEMPERATURES
from kdcore.temperatures.fixed import Fixed
from kdcore.training import Training
from kdcore.weighting import Weighting
from kdcore.weightings import WEIGHTINGS
from kdcore.weightings.uniform import Uniform

AnyMethod = Annotated[Method, OneOf(METHODS)]
_METHOD: TypeAdapter[Method] = TypeAdapter(AnyMethod)
_MODEL: TypeAdapter[Model] = TypeAdapter(AnyModel)
_TASK: TypeAdapter[Task] = TypeAdapter(Annotated[Task, OneOf(TASKS)])
_MAX_SEED = 2**31 - 1


def _on_or_off(value: object) -> object:
    """Let a bare true or false stand for the whole block."""
    return {"enabled": value} if isinstance(value, bool) else value


def _use(value: object) -> object:
    """Let one word, or true or false, stand for the whole block."""
    if isinstance(value, bool):
        return {"use": "auto" if value else "never"}
    return {"use": value} if isinstance(value, str) else value


def _readable(line: str) -> str:
    Gate.parse(line)
    return line


def _one_line(name: str) -> str:
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in name):
        raise ValueError(f"found {name!a}; expected one line without control characters")
    return name


def _distinct(seeds: list[int]) -> list[int]:
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"found {seeds}; expected every seed once")
    return seeds


class Recipe(Record):
    """One run: who teaches whom what, on which data, how long, and what must come out."""

    name: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)] | None = (
        None
    )
    """What people call the run."""
    teacher: Annotated[Teacher, BeforeValidator(a_network)]
    """The network that knows."""
    student: Annotated[Student, BeforeValidator(a_network)]
    """The network that learns."""
    data: Annotated[Dataset, OneOf(DATASETS)]
    """What they see."""
    task: Annotated[Task, OneOf(TASKS)] = Classification()
    """What they are asked."""
    method: AnyMethod | None = None
    """A published combination; it fills in the axes that are not written out."""
    objectives: Annotated[
        list[Annotated[Objective, OneOf(OBJECTIVES)]], Field(min_length=1, max_length=16)
    ] = []
    """What knowledge is compared, a weighted sum."""
    temperature: Annotated[Temperature, OneOf(TEMPERATURES, number="fixed")] = Fixed()
    """How logits are softened."""
    weighting: Annotated[Weighting, OneOf(WEIGHTINGS)] = Uniform()
    """How much each sample counts."""
    path: Annotated[Path, OneOf(PATHS)] = Direct()
    """Who teaches whom."""
    curriculum: Annotated[Curriculum, OneOf(CURRICULA)] = Everything()
    """In which order samples are met."""
    training: Training = Training()
    """How the student is trained."""
    baseline: Annotated[Baseline, BeforeValidator(_on_or_off)] = Baseline()
    """Controls to compare with."""
    seeds: Annotated[
        list[Annotated[int, Field(ge=0, le=_MAX_SEED)]],
        Field(min_length=1, max_length=100),
        AfterValidator(_distinct),
    ] = [0]
    """Every seed is run; the verdict is over all of them."""
    evaluation: Evaluation = Evaluation()
    """How the verdict is reached."""
    gates: Annotated[
        list[Annotated[str, Field(max_length=200), AfterValidator(_readable)]], Field(max_length=64)
    ] = []
    """Lines that the student must meet, such as `student.accuracy >= 0.95`."""
    export: Forms = ["safetensors", "onnx"]
    """Forms of the delivered student; safetensors is always among them."""
    quantization: Quantization = Quantization()
    """How its int8 form is made."""
    latency: LatencyField = Latency()
    """Where teacher and student are timed."""
    teacher_cache: Annotated[Caching, BeforeValidator(_use)] = Caching()
    """Whether what the teachers say is kept for later steps, stages and jobs."""
    runtime: Runtime = Runtime()
    """What the run computes on."""
    lock: Lock | None = None
    """What an earlier run was made with, as its `spec.lock` tells: this one must be alike."""

    @model_validator(mode="before")
    @classmethod
    def _spell_out_the_method(cls, document: Any) -> Any:
        """Let the method write the axes that the recipe leaves open."""
        if not isinstance(document, dict):
            return document
        fields = cast("dict[str, Any]", document)
        if "baseline" not in fields and not _task(fields).learns_labels:
            fields = {**fields, "baseline": False}
        if fields.get("method") is None and "objectives" not in fields:
            fields = {**fields, "method": "kd"}
        if fields.get("method") is None:
            return fields
        try:
            method = _METHOD.validate_python(fields["method"])
        except ValidationError:
            # The field itself reports it, with its own pointer; the axes must not complain as well.
            return {"objectives": ["cross_entropy"], **fields}
        return {**_task(fields).in_own_words(method.axes(_pair(fields))), **fields}

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        try:
            for check in CHECKS:
                check(self)
            legs = self.route()
            for check in ROUTE_CHECKS:
                check(self, legs)
            if form := self.form():
                self.check_fit(form, legs)
        except RecipeError as error:
            raise PydanticCustomError(
                "recipe_invalid",
                "{found}",
                {
                    "found": str(error),
                    "pointer": self.written_at(error.pointer),
                    "hint": error.hint,
                },
            ) from None
        return self

    def form(self) -> tuple[tuple[int, ...], int] | None:
        """Return the shape of a sample and what networks say of it, if known before reading."""
        form = self.data.form()
        return form and (form[0], self.task.outputs(form[1]))

    def route(self) -> list[Leg]:
        """Return the trainings on the way from the teacher to the student, in order."""
        try:
            return plan_route(
                self.path,
                self.objectives,
                teacher=self.teacher.model,
                student=self.student.model,
                training=self.training,
            )
        except RecipeError as error:
            pointer = error.pointer or "/path"
            raise RecipeError(str(error), hint=error.hint, pointer=pointer) from None

    def check_fit(
        self,
        form: tuple[tuple[int, ...], int],
        legs: Sequence[Leg] | None = None,
        measure: Measure = by_arithmetic,
    ) -> None:
        """Check the networks, and what is compared between them on `legs`, or else on the route.

        Raises:
            RecipeError: they do not fit such inputs and classes; its pointer says what.
        """
        check_fit(
            legs or self.route(),
            teacher=self.teacher.model,
            temperature=self.temperature,
            weighting=self.weighting,
            form=form,
            measure=measure,
        )

    def pair(self) -> Pair:
        """Return teacher and student by the names that papers give them."""
        return Pair(self.teacher.model.label(), self.student.model.label())

    def written_axes(self) -> dict[str, JsonValue]:
        """Return the axes that the method writes, in the task's words."""
        return self.task.in_own_words(self.method.axes(self.pair())) if self.method else {}

    def written_at(self, pointer: str) -> str:
        """Return a pointer; where it was the method that wrote the axis, one at the method."""
        axis = pointer[1:].partition("/")[0]
        written = self.written_axes().get(axis)
        return "/method" if written and _names(written) == _names(getattr(self, axis)) else pointer

    def digest(self) -> str:
        """Return the sha256 of what the run computes: all of the recipe but its name and lock."""
        document = self.model_dump(mode="json", include=set(Recipe.model_fields) - {"name", "lock"})
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _task(fields: dict[str, Any]) -> Task:
    """Return the task of a document that is not checked yet; what cannot be read is the default."""
    try:
        return _TASK.validate_python(fields["task"])
    except (ValidationError, KeyError):
        return Classification()


def _pair(fields: dict[str, Any]) -> Pair:
    """Return the pair of a document that is not checked yet; what cannot be read has no name."""

    def label(network: object) -> str:
        try:
            model = cast("dict[str, Any]", a_network(network))["model"]
            if isinstance(model, str):
                return _label_of_name(model[:200])
            return _MODEL.validate_python(model).label()
        except (ValidationError, KeyError, TypeError):
            return ""

    return Pair(label(fields.get("teacher")), label(fields.get("student")))


@functools.lru_cache(256)
def _label_of_name(name: str) -> str:
    # Most networks are named, and to read one takes a tenth of reading a whole recipe.
    return _MODEL.validate_python(name).label()


def _names(axis: object) -> object:
    """Return what tells an axis from another: the names of its entries."""
    if isinstance(axis, list):
        return [_names(one) for one in cast("list[object]", axis)]
    named = cast("Any", axis)
    return named["name"] if isinstance(axis, dict) else named.name
