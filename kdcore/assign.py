"""What a stage is given: its data, its teachers, and what it may see."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from kdcore.curricula.everything import Everything
from kdcore.dataset import Augmentation
from kdcore.events import TeacherChosen
from kdcore.lesson import Lesson
from kdcore.path import TEACHER
from kdcore.plan import Stage, training_set
from kdcore.run import Run
from kdcore.teacher_cache.answers import Live

_EARNED_BACK: Final = 20_000
"""Steps of a training on a GPU that are taken to earn back a minute or two of compiling."""


def assign(stage: Stage, run: Run, taught_by: tuple[str, ...]) -> Lesson:
    """Return the lesson of a stage that the networks named `taught_by` teach."""
    labels, pool = training_set(stage, run.recipe, run.corpus, _teacher_best(stage, run))
    # What a training may not see is not mixed into what it sees either.
    partners = pool if len(pool) < len(labels) else None
    if taught_by:
        pool = _easiest_first(pool, labels, run, taught_by)
    return Lesson(
        corpus=run.corpus,
        labels=labels,
        pool=pool,
        teachers=tuple(_asked(name, stage, run) for name in taught_by),
        temperature=run.recipe.temperature,
        weighting=run.recipe.weighting,
        augmentation=_augmentation(stage, run),
        curriculum=run.recipe.curriculum if taught_by else Everything(),
        partners=partners,
        inherits=run.networks[stage.inherits] if stage.inherits else None,
        precision=run.precision(stage.model, _batch(stage), "learn"),
        compiled=_compiled(stage, run),
        teacher_said=run.teacher_validation_logits,
    )


def _asked(name: str, stage: Stage, run: Run) -> Live:
    precision = run.precision(run.models[name], _batch(stage), "answer")
    network = run.archive.answering(run.frozen(name), precision)
    return Live.of(network, run.corpus.input_shape)


def _augmentation(stage: Stage, run: Run) -> Augmentation:
    """Return how a stage's images are changed.

    Views are stored for students, and for what they are compared with; the teacher is what the user
    has, and learns from as many as it can.
    """
    how = run.recipe.data.augmentation
    return how.model_copy(update={"views": "fresh"}) if stage.role == "teacher" else how


def _batch(stage: Stage) -> int:
    return stage.training.per_device_train_batch_size


def _compiled(stage: Stage, run: Run) -> bool:
    wish = run.recipe.runtime.compile
    if wish == "auto":
        alone_on_gpu = run.device.type == "cuda" and stage.processes == 1
        return alone_on_gpu and stage.total_steps >= _EARNED_BACK
    return wish == "always"


def nearest_midpoint(
    stage: Stage, scores: dict[str, dict[str, float]], metric: str
) -> TeacherChosen:
    """Choose the assistant whose metric is nearest the middle of teacher and student alone.

    All are those on the validation samples; of equals the first is taken.
    """
    measured = f"validation_{metric}"
    found = {name: scores[name][measured] for name in stage.link.taught_by}
    ends = scores[TEACHER], scores[f"baseline-{stage.seed}"]
    target = sum(end[measured] for end in ends) / len(ends)
    return TeacherChosen(
        stage=stage.name,
        seed=stage.seed,
        teacher=min(found, key=lambda name: abs(found[name] - target)),
        metric=metric,
        scores=found,
        target=target,
    )


def _teacher_best(stage: Stage, run: Run) -> Tensor:
    """Return the teacher's answers as labels of the training samples, if the stage learns them."""
    if stage.sees != "teacher_labels":
        return run.corpus.train.labels
    return run.recipe.task.hard(run.predictions(TEACHER, "train"))


def _easiest_first(pool: Tensor, labels: Tensor, run: Run, taught_by: tuple[str, ...]) -> Tensor:
    """Return the pool in the order of the curriculum's scores; as it is where it has none."""
    if isinstance(run.recipe.curriculum, Everything):
        return pool
    answers = [run.predictions(name, "train")[pool] for name in taught_by]
    scores = run.recipe.curriculum.scores(torch.stack(answers).mean(0), labels[pool])
    return pool if scores is None else pool[scores.argsort(descending=True, stable=True)]
