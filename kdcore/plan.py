"""Which trainings a recipe asks for, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from kdcore.corpus import Corpus
from kdcore.events import Role, StagePlan
from kdcore.model import Model
from kdcore.objective import Objective
from kdcore.objectives.cross_entropy import CrossEntropy
from kdcore.recipe import Recipe
from kdcore.tensors import HIDDEN
from kdcore.training import Training

TEACHER = "teacher"


@dataclass(frozen=True, slots=True)
class Stage:
    """One training of one network."""

    name: str
    role: Role
    seed: int
    model: Model
    objectives: tuple[Objective, ...]
    training: Training
    total_steps: int
    taught_by: tuple[str, ...]
    """The stages whose networks teach."""
    sees: Literal["all_labels", "kept_labels", "kept_labels_alone", "teacher_labels"]
    """Labels of the training set, those that the student keeps, the same without the unlabelled
    samples, or the teacher's best classes."""

    def described(self) -> StagePlan:
        """Return the stage as an event tells it."""
        return StagePlan(
            name=self.name,
            role=self.role,
            seed=self.seed,
            total_steps=self.total_steps,
            teachers=list(self.taught_by),
        )


def plan_stages(recipe: Recipe, corpus: Corpus) -> list[Stage]:
    """List the trainings: the teacher's, and for each seed the controls' and the path's.

    The teacher is what the user has, so there is one; whatever the method makes is made for every
    seed. All networks of the student's kind take equally many steps.
    """
    stages: list[Stage] = []
    if recipe.teacher.weights is None:
        training = recipe.teacher.training or recipe.training
        known = int((corpus.train.labels != HIDDEN).sum())
        stages.append(
            Stage(
                name=TEACHER,
                role="teacher",
                seed=recipe.seeds[0],
                model=recipe.teacher.model,
                objectives=(CrossEntropy(),),
                training=training,
                total_steps=training.total_steps(steps_per_epoch(known, training)),
                taught_by=(),
                sees="all_labels",
            )
        )
    for seed in recipe.seeds:
        stages += _stages_of_seed(recipe, corpus, seed)
    return stages


def steps_per_epoch(samples: int, training: Training) -> int:
    """Return the whole batches in one pass; a smaller last one is left out."""
    return max(samples // training.per_device_train_batch_size, 1)


def training_set(
    stage: Stage, recipe: Recipe, corpus: Corpus, teacher_best: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the labels `(N,)` that a stage sees, and the indices of the samples in its batches.

    `teacher_best` `(N,)` are the teacher's best classes.
    """
    everything = torch.arange(len(corpus.train.labels), device=corpus.train.labels.device)
    if stage.sees == "all_labels":
        labels = corpus.train.labels
        return labels, everything[labels != HIDDEN]
    labels = corpus.student_labels(recipe.data.labelled, stage.seed)
    alone = stage.sees == "kept_labels_alone" or not recipe.data.unlabelled
    pool = everything[labels != HIDDEN] if alone else everything
    return (teacher_best if stage.sees == "teacher_labels" else labels), pool


def _stages_of_seed(recipe: Recipe, corpus: Corpus, seed: int) -> list[Stage]:
    samples = len(corpus.train.labels)
    if not recipe.data.unlabelled:
        samples = int((corpus.student_labels(recipe.data.labelled, seed) != HIDDEN).sum())
    total_steps = recipe.training.total_steps(steps_per_epoch(samples, recipe.training))

    def stage(  # noqa: PLR0913  # what one stage differs in from its siblings
        name: str,
        role: Role,
        *,
        model: Model = recipe.student.model,
        objectives: tuple[Objective, ...] = (CrossEntropy(),),
        taught_by: tuple[str, ...] = (),
        sees: Literal["kept_labels", "kept_labels_alone", "teacher_labels"] = "kept_labels",
    ) -> Stage:
        return Stage(
            name=f"{name}-{seed}",
            role=role,
            seed=seed,
            model=model,
            objectives=objectives,
            training=recipe.training,
            total_steps=total_steps,
            taught_by=taught_by,
            sees=sees,
        )

    stages: list[Stage] = []
    if recipe.baseline.enabled:
        stages.append(stage("baseline", "baseline", sees="kept_labels_alone"))
    if recipe.baseline.hard_labels:
        stages.append(stage("hard_labels", "hard_labels", sees="teacher_labels"))
    path = [
        stage(
            link.name,
            "student" if link.name == "student" else "assistant",
            model=link.model,
            objectives=tuple(recipe.objectives),
            taught_by=tuple(
                name if name == TEACHER else f"{name}-{seed}" for name in link.taught_by
            ),
        )
        for link in recipe.path.links(recipe.student.model)
    ]
    return [*stages, *path]
