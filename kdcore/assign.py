"""What a stage is given: its data, its teachers, and what it may see."""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.curricula.everything import Everything
from kdcore.events import TeacherChosen
from kdcore.lesson import Lesson
from kdcore.network import predict
from kdcore.path import TEACHER
from kdcore.plan import Stage, training_set
from kdcore.run import Run


def assign(stage: Stage, run: Run, taught_by: tuple[str, ...]) -> Lesson:
    """Return the lesson of a stage that the networks named `taught_by` teach."""
    labels, pool = training_set(stage, run.recipe, run.corpus, _teacher_best(stage, run))
    if taught_by:
        pool = _easiest_first(pool, labels, run, taught_by)
    return Lesson(
        corpus=run.corpus,
        labels=labels,
        pool=pool,
        teachers=tuple(run.networks[name] for name in taught_by),
        temperature=run.recipe.temperature,
        weighting=run.recipe.weighting,
        augmentation=run.recipe.data.augmentation,
        curriculum=run.recipe.curriculum if taught_by else Everything(),
        inherits=run.networks[stage.inherits] if stage.inherits else None,
    )


def nearest_midpoint(stage: Stage, scores: dict[str, dict[str, float]]) -> TeacherChosen:
    """Choose the assistant whose accuracy is nearest the middle of teacher and student alone.

    All accuracies are those on the validation samples; of equals the first is taken.
    """
    accuracies = {name: scores[name]["validation_accuracy"] for name in stage.link.taught_by}
    ends = scores[TEACHER], scores[f"baseline-{stage.seed}"]
    target = sum(end["validation_accuracy"] for end in ends) / len(ends)
    return TeacherChosen(
        stage=stage.name,
        seed=stage.seed,
        teacher=min(accuracies, key=lambda name: abs(accuracies[name] - target)),
        accuracies=accuracies,
        target=target,
    )


def _teacher_best(stage: Stage, run: Run) -> Tensor:
    """Return the teacher's best class of each training sample, if the stage learns from them."""
    if stage.sees != "teacher_labels":
        return run.corpus.train.labels
    return predict(run.networks[TEACHER], run.corpus.train.inputs).argmax(1)


def _easiest_first(pool: Tensor, labels: Tensor, run: Run, taught_by: tuple[str, ...]) -> Tensor:
    """Return the pool in the order of the curriculum's scores; as it is where it has none."""
    if isinstance(run.recipe.curriculum, Everything):
        return pool
    inputs = run.corpus.train.inputs[pool]
    answers = [predict(run.networks[name], inputs) for name in taught_by]
    scores = run.recipe.curriculum.scores(torch.stack(answers).mean(0), labels[pool])
    return pool if scores is None else pool[scores.argsort(descending=True, stable=True)]
