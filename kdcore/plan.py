"""Which trainings a recipe asks for, in order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from kdcore.corpus import Corpus
from kdcore.errors import RecipeError
from kdcore.events import Role, StagePlan
from kdcore.inputs import Start
from kdcore.model import Model
from kdcore.objective import Objective
from kdcore.path import TEACHER, Link
from kdcore.recipe import Recipe
from kdcore.route import Leg
from kdcore.tensors import is_known
from kdcore.training import Training, steps_per_epoch


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
    link: Link
    """Who teaches, by the names of stages, and how."""
    sees: Literal["all_labels", "kept_labels", "kept_labels_alone", "teacher_labels"]
    """Labels of the training set, those that the student keeps, the same without the unlabelled
    samples, or the teacher's answers as labels."""
    inherits: str | None = None
    """The stage whose network the model takes weights from."""
    anchors: tuple[int, ...] = ()
    """Steps after which the network is kept as it is then."""
    start: Start | None = None
    """The file that the network begins with."""
    processes: int = 1
    """How many share each step."""

    @property
    def batch_size(self) -> int:
        """Samples in a step, of all processes together."""
        return self.training.per_device_train_batch_size * self.processes

    @property
    def answers_asked(self) -> int:
        """How many answers it asks each of its teachers for, about."""
        asked, link = self.total_steps * self.batch_size, self.link
        if link.teachers == "in_turn":
            return asked // len(link.taught_by)
        return round(asked * link.keep) if len(link.taught_by) > 1 else asked

    def described(self) -> StagePlan:
        """Return the stage as an event tells it."""
        return StagePlan(
            name=self.name,
            role=self.role,
            seed=self.seed,
            total_steps=self.total_steps,
            teachers=list(self.link.taught_by),
        )


def plan_stages(recipe: Recipe, corpus: Corpus) -> list[Stage]:
    """List the trainings: the teacher's, and for each seed the controls' and the path's.

    The teacher is what the user has, so there is one; whatever the method makes is made for every
    seed. All networks of the student's kind take equally many steps.
    """
    stages: list[Stage] = []
    if not recipe.teacher.given:
        training = recipe.teacher.training or recipe.training
        known = int(is_known(corpus.train.labels).sum())
        total_steps = _total(known, recipe, training)
        stages.append(
            Stage(
                name=TEACHER,
                role="teacher",
                seed=recipe.seeds[0],
                model=recipe.teacher.model,
                objectives=(recipe.task.alone(),),
                training=training,
                total_steps=total_steps,
                link=Link(TEACHER, recipe.teacher.model, taught_by=()),
                sees="all_labels",
                anchors=_anchors(recipe.path.anchors(), total_steps),
                start=recipe.teacher.start(),
            )
        )
    for seed in recipe.seeds:
        stages += _stages_of_seed(recipe, corpus, seed)
    return [replace(stage, processes=recipe.runtime.processes) for stage in stages]


def _anchors(count: int, total_steps: int) -> tuple[int, ...]:
    """Cut the teacher's training into equal parts; its end is no anchor.

    Raises:
        RecipeError: it has fewer steps than parts.
    """
    if total_steps <= count:
        raise RecipeError(
            f"found {total_steps} steps of the teacher's training and {count} anchors on it; "
            "expected more steps than anchors",
            hint="train the teacher longer, or ask for fewer points",
        )
    return tuple(round(total_steps * place / (count + 1)) for place in range(1, count + 1))


def training_set(
    stage: Stage, recipe: Recipe, corpus: Corpus, teacher_best: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the labels `(N, ...)` that a stage sees, and the samples in its batches by index.

    `teacher_best` `(N, ...)` are the teacher's answers as labels.
    """
    everything = torch.arange(len(corpus.train.labels), device=corpus.train.labels.device)
    if stage.sees == "all_labels":
        labels = corpus.train.labels
        return labels, everything[is_known(labels)]
    labels = corpus.student_labels(recipe.data.labelled, stage.seed)
    alone = stage.sees == "kept_labels_alone" or not recipe.data.unlabelled
    pool = everything[is_known(labels)] if alone else everything
    return (teacher_best if stage.sees == "teacher_labels" else labels), pool


def _stages_of_seed(recipe: Recipe, corpus: Corpus, seed: int) -> list[Stage]:
    stages: list[Stage] = []
    if recipe.baseline.enabled:
        stages.append(_control(recipe, corpus, seed, "baseline", sees="kept_labels_alone"))
    if recipe.baseline.hard_labels:
        stages.append(_control(recipe, corpus, seed, "hard_labels", sees="teacher_labels"))
    return [*stages, *(_leg(leg, recipe, corpus, seed) for leg in recipe.route())]


def _control(
    recipe: Recipe,
    corpus: Corpus,
    seed: int,
    role: Literal["baseline", "hard_labels"],
    *,
    sees: Literal["kept_labels_alone", "teacher_labels"],
) -> Stage:
    return Stage(
        name=f"{role}-{seed}",
        role=role,
        seed=seed,
        model=recipe.student.model,
        objectives=(recipe.task.alone(),),
        training=recipe.training,
        total_steps=_steps(recipe, corpus, seed, recipe.training),
        link=Link(role, recipe.student.model, taught_by=()),
        sees=sees,
        start=recipe.student.start(),
    )


def _leg(leg: Leg, recipe: Recipe, corpus: Corpus, seed: int) -> Stage:
    link = leg.link
    return Stage(
        name=f"{link.name}-{seed}",
        role=leg.role,
        seed=seed,
        model=leg.model,
        objectives=leg.objectives,
        training=leg.training,
        total_steps=_steps(recipe, corpus, seed, leg.training),
        link=replace(link, taught_by=tuple(_of_seed(name, seed) for name in link.taught_by)),
        sees="all_labels" if leg.role == "tutor" else "kept_labels",
        inherits=_of_seed(leg.inherits, seed) if leg.inherits else None,
        start=recipe.student.start() if leg.role == "student" else None,
    )


def _of_seed(name: str, seed: int) -> str:
    """Return the name of a stage; the teacher, and what is kept of its training, has no seed."""
    return name if name.partition("@")[0] == TEACHER else f"{name}-{seed}"


def _steps(recipe: Recipe, corpus: Corpus, seed: int, training: Training) -> int:
    """Return the steps of a training; the student's and its baseline's are equal."""
    samples = len(corpus.train.labels)
    if not recipe.data.unlabelled:
        samples = int(is_known(corpus.student_labels(recipe.data.labelled, seed)).sum())
    return _total(samples, recipe, training)


def _total(samples: int, recipe: Recipe, training: Training) -> int:
    batch_size = training.per_device_train_batch_size * recipe.runtime.processes
    return training.total_steps(steps_per_epoch(samples, batch_size))
