"""A whole job, from the files that it reads to the student that it writes: ours, and a script's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from plain_loop import plain

from kdcore import Recipe, distill
from kdcore.arithmetic import laid_out
from kdcore.corpus import load_corpus
from kdcore.curricula.everything import Everything
from kdcore.dataset import Augmentation
from kdcore.evaluate import score
from kdcore.events import AnswersReady, PhaseStarted
from kdcore.lesson import Lesson
from kdcore.network import build, weights_bytes
from kdcore.plan import plan_stages
from kdcore.teacher_cache.answers import Live
from kdcore.teacher_cache.shelf import Shelf
from kdcore.weights import load_weights
from stand.lessons import CPU

PAIRS: Final = {"small": ("resnet20", "resnet8"), "big": ("resnet32x4", "resnet8x4")}
"""Teacher and student."""
TEACHER: Final = "teacher.safetensors"
BATCH: Final = 64
Parts: TypeAlias = Mapping[str, float]
"""CPU seconds of this process by phase."""


def write_teacher(pair: str, inputs: Path) -> None:
    """Write the weights of a teacher that nobody trained."""
    model = recipe_of(pair, epochs=1).teacher.model
    (inputs / TEACHER).write_bytes(weights_bytes(build(model, (3, 32, 32), 100, seed=1)))


def recipe_of(
    pair: str, *, epochs: int, views: int = 1, seed: int = 0, use: str = "auto"
) -> Recipe:
    """Return a student's recipe: KD by a teacher whose weights are there, and nothing beside it."""
    teacher, student = PAIRS[pair]
    augmentation = {"crop_padding": 4, "horizontal_flip": True, "views": views}
    return Recipe.model_validate(
        {
            "teacher": {"model": teacher, "weights": TEACHER},
            "student": student,
            "data": {"name": "cifar100", "augmentation": augmentation},
            "method": "kd",
            "training": {"num_train_epochs": epochs, "per_device_train_batch_size": BATCH},
            "seeds": [seed],
            "baseline": False,
            "export": ["safetensors"],
            "teacher_cache": {"use": use},
        }
    )


def our_job(recipe: Recipe, inputs: Path, folder: Path, shelf: Shelf) -> tuple[Parts, str]:
    """Run a job; return its CPU seconds by phase, and who answered for the teacher."""
    clock, who = _Clock("preparing"), ""
    for event in distill(recipe, folder, inputs=inputs, shelf=shelf):
        if isinstance(event, PhaseStarted):
            clock.begin(event.phase)
        if isinstance(event, AnswersReady):
            who = event.answers
    return clock.stop(), who


def plain_job(recipe: Recipe, inputs: Path, folder: Path) -> Parts:
    """Do the same by the plain loop, in float32, on the images as they are."""
    clock = _Clock("preparing")
    corpus = load_corpus(recipe.data, inputs, CPU)
    stage = next(stage for stage in plan_stages(recipe, corpus) if stage.role == "student")
    teacher = build(recipe.teacher.model, corpus.input_shape, corpus.num_classes, seed=0).eval()
    load_weights(teacher, inputs / TEACHER, TEACHER)
    laid_out(teacher.requires_grad_(requires_grad=False))
    labels = corpus.train.labels
    lesson = Lesson(
        corpus=corpus,
        labels=labels,
        pool=labels,
        teachers=(Live.of(teacher, corpus.input_shape),),
        temperature=recipe.temperature,
        weighting=recipe.weighting,
        augmentation=Augmentation(),
        curriculum=Everything(),
    )
    clock.begin("training")
    student = plain(stage, lesson)
    clock.begin("evaluating")
    score(student, corpus.test, corpus.task)
    clock.begin("exporting")
    folder.mkdir(parents=True)
    (folder / "student.safetensors").write_bytes(weights_bytes(student))
    return clock.stop()


class _Clock:
    """CPU seconds by phase."""

    def __init__(self, phase: str) -> None:
        self._phase, self._since = phase, time.process_time()
        self._parts: dict[str, float] = {}

    def begin(self, phase: str) -> None:
        now = time.process_time()
        self._parts[self._phase] = self._parts.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now

    def stop(self) -> dict[str, float]:
        self.begin("over")
        return self._parts


def total(parts: Parts) -> float:
    """Return the CPU seconds of all phases."""
    return sum(parts.values())
