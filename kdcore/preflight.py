"""The preflight: a recipe tried out on its own data, before anything is trained.

The data is read whole and checked as for a training, every network is built, and each training of
the first seed takes one step on the CPU, forwards and backwards. What a job would fail of before
its second step is told here, with its place in the recipe.

>>> from kdcore import look
>>> look(recipe, Path("inputs")).compatible
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from kdcore.arithmetic import laid_out
from kdcore.corpus import Corpus, load_corpus
from kdcore.costs import Costs
from kdcore.errors import KdcoreError, Misfit, RecipeError, WeightsError
from kdcore.evaluate import count_flops, count_parameters
from kdcore.events import Warned
from kdcore.inspected import FitProblem, NetworkTold, Preflight, TensorTold
from kdcore.lesson import Lesson
from kdcore.listing import layers_told
from kdcore.memory import peak_memory
from kdcore.model import Model
from kdcore.network import build, measured
from kdcore.path import TEACHER
from kdcore.plan import Stage, training_set
from kdcore.recipe import Recipe
from kdcore.run import checked_plan
from kdcore.settling import settled, unlike_its_teacher
from kdcore.stage import FirstStep, first_step
from kdcore.starting import given_teacher
from kdcore.teacher_cache.answers import Live
from kdcore.tokens import blank

_CPU: Final = torch.device("cpu")
_CONTROLS: Final = frozenset({"baseline", "hard_labels"})


def look(recipe: Recipe, inputs: Path) -> Preflight:
    """Try a recipe out whose files are under `inputs`, and tell what is wrong with it.

    The runtime is that of the CPU, whatever the recipe asks for. Nothing is written.

    Raises:
        MemoryError, RuntimeError: there is not enough memory to try it.
    """
    alone = recipe.runtime.model_copy(update={"device": "cpu", "processes": 1, "compile": "never"})
    recipe = recipe.model_copy(update={"runtime": alone})
    found, corpus = _Findings(), None
    warned: list[Warned] = []
    if ready := found.of("/data", lambda: settled(recipe, inputs)):
        corpus = found.of("/data", lambda: load_corpus(ready.data, inputs, _CPU, ready.task))
    if ready and corpus:
        _look_with(ready, corpus, found)
        warned = [*corpus.warnings, *(found.of("", lambda: [*unlike_its_teacher(ready)]) or [])]
    costs = found.costs
    return Preflight(
        compatible=not found.problems,
        problems=found.problems,
        input_shape=list(corpus.input_shape) if corpus else None,
        num_classes=corpus.num_classes if corpus else None,
        samples=_samples(corpus) if corpus else {},
        teacher=found.networks.get("teacher"),
        student=found.networks.get("student"),
        steps=found.steps,
        step_seconds=found.seconds,
        loss=found.losses,
        peak_memory_bytes=peak_memory(_CPU),
        device_memory_bytes=costs.memory_bytes if costs else None,
        disk_bytes=costs.run_bytes if costs else None,
        teacher_cache_bytes=costs.teacher_cache_bytes if costs else None,
        warnings=[one.message for one in warned],
    )


@dataclass(slots=True)
class _Findings:
    """What came to light."""

    problems: list[FitProblem] = field(default_factory=list[FitProblem])
    networks: dict[str, NetworkTold] = field(default_factory=dict[str, NetworkTold])
    steps: int = 0
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    losses: dict[str, float] = field(default_factory=dict[str, float])
    costs: Costs | None = None
    """None where no training was tried."""

    def of(self, pointer: str, work: Callable[[], Any]) -> Any:
        """Return what some work gives; None where it is refused, which is noted.

        The pointer is that of the refusal, or else the given one.
        """
        try:
            return work()
        except KdcoreError as error:
            told = error.pointer if isinstance(error, RecipeError | WeightsError) else ""
            misfits = error.misfits if isinstance(error, WeightsError) else ()
            self.note(told or pointer, error.code, str(error), error.hint, misfits)
            return None

    def note(
        self, pointer: str, code: str, message: str, hint: str, misfits: Sequence[Misfit] = ()
    ) -> None:
        tensors = [TensorTold.model_validate(asdict(one)) for one in misfits]
        self.problems.append(
            FitProblem(pointer=pointer, code=code, message=message, hint=hint, tensors=tensors)
        )


def _look_with(recipe: Recipe, corpus: Corpus, found: _Findings) -> None:
    models = {"teacher": recipe.teacher.model, "student": recipe.student.model}
    for whose, model in models.items():
        told = found.of(
            f"/{whose}/model", lambda model=model, whose=whose: _told(model, corpus, whose)
        )
        if told:
            found.networks[whose] = told
    if len(found.networks) < len(models):
        return
    plan: list[Stage] | None = found.of("", lambda: checked_plan(recipe, corpus))
    if plan is None:
        return
    found.steps = sum(stage.total_steps for stage in plan)
    known: dict[str, nn.Module] = {}
    if recipe.teacher.given:
        teacher = found.of("/teacher/model", lambda: given_teacher(recipe, corpus))
        if teacher is None:
            return
        known[TEACHER] = teacher
    pupils = _Pupils(
        {stage.name: stage.model for stage in plan} | {TEACHER: models["teacher"]}, corpus, known
    )
    seed, costs = recipe.seeds[0], Costs(recipe, corpus, plan)
    for stage in plan:
        if stage.seed == seed and stage.role not in _CONTROLS:
            _try(recipe, stage, pupils, found, costs)
    # Where one of them failed, nobody knows what all of them take.
    found.costs = None if found.problems else costs


@dataclass(frozen=True, slots=True)
class _Pupils:
    """Networks that teach, by stage: those that are given, others as they are before training."""

    models: dict[str, Model]
    corpus: Corpus
    known: dict[str, nn.Module]

    def network(self, name: str) -> nn.Module:
        """Return the network of a stage."""
        name = TEACHER if name.partition("@")[0] == TEACHER else name
        if name not in self.known:
            corpus = self.corpus
            self.known[name] = build(
                self.models[name], corpus.input_shape, corpus.num_classes, 0, furnished=True
            )
        return laid_out(self.known[name].eval().requires_grad_(requires_grad=False))


def _try(recipe: Recipe, stage: Stage, pupils: _Pupils, found: _Findings, costs: Costs) -> None:
    """Take a training's first step, and note what it says."""
    began = time.perf_counter()
    place = "/teacher" if stage.role == "teacher" else "/objectives"
    try:
        first = found.of(place, lambda: _first(recipe, stage, pupils, costs))
    except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
        if "DefaultCPUAllocator" in str(error):
            raise
        # Whatever a foreign network, or a plug-in, does not like.
        found.note(
            place,
            "step_failed",
            f"the first step of {stage.name} failed: {str(error)[:500] or type(error).__name__}",
            "change the networks, the objectives or the data until it works",
        )
        return
    if first is None:
        return
    loss = first.loss
    found.seconds[stage.name] = time.perf_counter() - began
    if not math.isfinite(loss):
        found.note(
            place,
            "nan_loss",
            f"the loss of the first step of {stage.name} is {loss}; expected a finite number",
            "look for values that are very large in the data, and for weights of objectives",
        )
        return
    found.losses[stage.name] = loss


def _first(recipe: Recipe, stage: Stage, pupils: _Pupils, costs: Costs) -> FirstStep:
    lesson = _lesson(recipe, stage, pupils)
    first = first_step(stage, lesson, _CPU)
    costs.add(stage, lesson, first)
    return first


def _lesson(recipe: Recipe, stage: Stage, pupils: _Pupils) -> Lesson:
    """Return what a stage learns from, its teachers being asked in the step."""
    corpus = pupils.corpus
    # What the teacher would say as labels has their form.
    labels, pool = training_set(stage, recipe, corpus, corpus.train.labels)
    return Lesson(
        corpus=corpus,
        labels=labels,
        pool=pool,
        teachers=tuple(
            Live.of(pupils.network(name), corpus.input_shape) for name in stage.link.taught_by
        ),
        temperature=recipe.temperature,
        weighting=recipe.weighting,
        augmentation=recipe.data.augmentation,
        curriculum=recipe.curriculum,
        partners=pool if len(pool) < len(labels) else None,
        inherits=pupils.network(stage.inherits) if stage.inherits else None,
    )


def _told(model: Model, corpus: Corpus, whose: str) -> NetworkTold:
    """Build a network without numbers, and tell what it is made of."""
    shape, classes = corpus.input_shape, corpus.num_classes
    shapes = measured(model, shape, classes)
    with torch.device("meta"):
        network = model.build(shape, classes)
        flops = None
        # Some networks look at numbers, of which there are none here.
        with suppress(RuntimeError, NotImplementedError, ValueError, TypeError):
            flops = count_flops(network, blank(shape, 1)) or None
    return NetworkTold(
        model=model.label(),
        parameters=count_parameters(network),
        flops=flops,
        layers=layers_told(network, shapes, whose),
    )


def _samples(corpus: Corpus) -> dict[str, int]:
    parts = {"train": corpus.train, "validation": corpus.validation, "test": corpus.test}
    return {part: len(samples.labels) for part, samples in parts.items() if samples}
