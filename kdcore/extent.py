"""How large a run is: what it takes at least, by arithmetic, before anything is read or built."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kdcore.errors import RecipeError
from kdcore.fit import place_of
from kdcore.model import Model
from kdcore.tokens import Ids
from kdcore.training import Training, steps_per_epoch

if TYPE_CHECKING:
    from kdcore.recipe import Recipe

Form = tuple[tuple[int, ...], int]

_BYTES: Final = 4  # of a float32
_SMALLEST: Final = (
    (1,),
    Ids(1, vocabulary=1, pad=0),
    *((1, 2**power, 2**power) for power in range(9)),
)


@dataclass(frozen=True, slots=True)
class Extent:
    """What a run takes, at least."""

    parameters: tuple[tuple[str, int], ...]
    """Of each network, by the part of the recipe that describes it: a JSON pointer."""
    steps: int
    """Optimiser steps of all trainings."""
    memory_bytes: int
    """At the largest of its trainings."""
    disk_bytes: int
    """For the checkpoints that are kept at a time, and for every finished network."""
    is_counted: bool
    """Whether `steps` is their number; where epochs have an unknown length it is far too low."""


@dataclass(frozen=True, slots=True)
class Work:
    """One of the trainings, however many times it is done."""

    pointer: str
    model: Model
    training: Training
    times: int
    samples: int | None
    """That it learns from, where that is known."""
    batch: int
    """Samples in a step, of all processes together."""
    anchors: int = 0
    """How many times the network is kept on the way."""

    @property
    def steps(self) -> int:
        """Optimiser steps; of epochs of unknown length, as many as there are at least."""
        return self.training.total_steps(steps_per_epoch(self.samples or 1, self.batch))

    @property
    def is_counted(self) -> bool:
        """Whether `steps` is their number, and not the least that it can be."""
        return self.samples is not None or self.training.max_steps is not None

    @property
    def copies(self) -> int:
        """Numbers that the training keeps of each parameter: itself, the optimiser's, averages."""
        training = self.training
        slots = 2 if training.optim == "adamw" else int(training.momentum > 0)
        return 1 + slots + (training.ema_decay is not None)


def trainings(recipe: Recipe, samples: int | None = None) -> Iterator[Work]:
    """List what is trained; `samples` is as of `extent_of`."""
    seeds, processes = len(recipe.seeds), recipe.runtime.processes
    everything = recipe.data.train_samples() or samples
    if everything is not None:
        everything = max(everything - recipe.data.validation_size, 1)
    seen = everything if recipe.data.unlabelled else recipe.data.labelled or everything

    def work(
        pointer: str, model: Model, training: Training, times: int, samples: int | None
    ) -> Work:
        batch = training.per_device_train_batch_size * processes
        return Work(pointer, model, training, times, samples, batch)

    if not recipe.teacher.given:
        training, model = recipe.teacher.training or recipe.training, recipe.teacher.model
        batch = training.per_device_train_batch_size * processes
        anchors = recipe.path.anchors()
        yield Work("/teacher/model", model, training, 1, everything, batch, anchors)
    controls = recipe.baseline.enabled + recipe.baseline.hard_labels
    student = recipe.student.model
    yield work("/student/model", student, recipe.training, seeds * controls, seen)
    for leg in recipe.route():
        # What an objective makes of a network has no fewer parameters to be trained and kept.
        tutor = leg.role == "tutor"
        model = recipe.teacher.model if tutor else leg.link.model
        pointer = "/path" if tutor else place_of(leg.link.name)
        yield work(pointer, model, leg.training, seeds, everything if tutor else seen)


def extent_of(recipe: Recipe, samples: int | None = None) -> Extent:
    """Add up what the trainings of a recipe take.

    `samples` are the training samples, with those for validation, where data was read to count
    them.
    """
    form = recipe.form()
    teacher = _parameters(recipe.teacher.model, form)
    parameters = {"/teacher/model": teacher}
    steps = memory = checkpoints = networks = 0
    is_counted = True
    for work in trainings(recipe, samples):
        size = _parameters(work.model, form)
        parameters[work.pointer] = max(size, parameters.get(work.pointer, 0))
        steps += work.times * work.steps
        is_counted &= work.is_counted or not work.times
        networks += (work.times + work.anchors) * size
        # Of what a step computes, the stages' outputs are kept until the gradient has passed.
        step = min(work.batch, work.samples or work.batch) * _outputs(work.model, form)
        memory = max(memory, (work.copies + 1) * size + step + teacher)
        best = recipe.data.validation_size > 0
        saves = min((work.steps - 1) // work.training.save_steps, work.training.save_total_limit)
        checkpoints = max(checkpoints, saves * (work.copies + best) * size)
    disk = checkpoints + networks
    return Extent(tuple(parameters.items()), steps, _BYTES * memory, _BYTES * disk, is_counted)


def _parameters(model: Model, form: Form | None) -> int:
    """Return the numbers of a network; 0 where they are known only when it is built."""
    return model.parameters(*(form or _smallest(model))) or 0


def _outputs(model: Model, form: Form | None) -> int:
    """Return how many numbers the stages' outputs have for one sample."""
    shapes = model.shapes(*(form or _smallest(model))) or {}
    return sum(math.prod(shape) for stage, shape in shapes.items() if stage != "flatten")


def _smallest(model: Model) -> Form:
    """Return the smallest input that a network takes."""
    for shape in _SMALLEST:
        with contextlib.suppress(RecipeError):
            model.shapes(shape, 2)
            return shape, 2
    return _SMALLEST[-1], 2
