"""The loss of a stage: its objectives, softened and weighted, over all of its teachers."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from kdcore.errors import RecipeError
from kdcore.learned import Learner
from kdcore.lesson import Lesson
from kdcore.network import observe, shapes_of
from kdcore.objective import Objective
from kdcore.plan import Stage
from kdcore.temperature import Softened
from kdcore.tensors import Batch, Outputs, Seen, Shapes, Sizes


class Teaching:
    """Everything that turns a student's outputs into a loss; `heads` is what is learned in it."""

    def __init__(self, stage: Stage, lesson: Lesson, student: nn.Sequential) -> None:
        """Make the learned parts that the axes bring along.

        Raises:
            RecipeError: an objective reads a stage that a network does not have.
        """
        self._stage = stage
        self._lesson = lesson
        self.heads = nn.ModuleDict()
        shape = lesson.corpus.input_shape
        student_shapes = shapes_of(student, shape)
        wanted = [objective.taps() for objective in stage.objectives]
        self._student_taps = {name for taps in wanted for name in taps.student}
        self._teacher_taps = {name for taps in wanted for name in taps.teacher}
        _require(self._student_taps, student_shapes, f"the student of stage {stage.name}")
        for place, teacher in enumerate(lesson.teachers):
            teacher_shapes = shapes_of(teacher, shape)
            _require(self._teacher_taps, teacher_shapes, stage.taught_by[place])
            sizes = Sizes(
                student=student_shapes,
                teacher=teacher_shapes,
                num_classes=lesson.corpus.num_classes,
                num_samples=len(lesson.labels),
            )
            for name, learner in self._learners():
                if (head := learner.heads(sizes)) is not None:
                    self.heads[f"{name}-{place}"] = head

    def loss(
        self, student: nn.Sequential, batch: Batch, *, epoch: int, progress: float
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the weighted sum of the objectives, and each of them unweighted, all `()`."""
        outputs = observe(student, batch.inputs, self._student_taps)
        # Without a teacher the student's own outputs stand in: nobody looks at them.
        lonely = Seen(outputs, outputs, batch, epoch, progress)
        seen = [
            Seen(outputs, self._answers(teacher, batch), batch, epoch, progress)
            for teacher in self._lesson.teachers
        ] or [lonely]
        softened = [self._soften(one, place) for place, one in enumerate(seen)]
        weighted: list[Tensor] = []
        terms: list[Tensor] = []
        for which, objective in enumerate(self._stage.objectives):
            heard = len(seen) if objective.needs_teacher else 1
            parts = [
                self._term(which, objective, seen[place], softened[place], place)
                for place in range(heard)
            ]
            term = parts[0] if heard == 1 else torch.stack(parts).sum()
            terms.append(term.detach())
            warmed = min((epoch + 1) / objective.warmup_epochs, 1) if objective.warmup_epochs else 1
            weighted.append(objective.weight * warmed * term)
        return reduce(torch.add, weighted), terms

    def _learners(self) -> list[tuple[str, Learner]]:
        axes: list[tuple[str, Learner]] = [
            (f"objective-{which}", objective)
            for which, objective in enumerate(self._stage.objectives)
        ]
        return [
            *axes,
            ("temperature", self._lesson.temperature),
            ("weighting", self._lesson.weighting),
        ]

    def _head(self, name: str, place: int) -> nn.Module | None:
        key = f"{name}-{place}"
        return self.heads[key] if key in self.heads else None  # noqa: SIM401  # it has no get

    def _answers(self, teacher: nn.Sequential, batch: Batch) -> Outputs:
        with torch.no_grad():
            return observe(teacher, batch.inputs, self._teacher_taps)

    def _soften(self, seen: Seen, place: int) -> Softened:
        if not self._lesson.teachers:
            return Softened(seen.student.logits, seen.student.logits, 1.0)
        return self._lesson.temperature.soften(seen, self._head("temperature", place))

    def _term(
        self, which: int, objective: Objective, seen: Seen, softened: Softened, place: int
    ) -> Tensor:
        """Return one objective's term for one teacher, `()`."""
        term = objective.loss(seen, softened, self._head(f"objective-{which}", place))
        if term.dim() and objective.needs_teacher:
            weights = self._lesson.weighting.weights(seen, self._head("weighting", place))
            if weights is not None:
                term = term * weights
        return term.mean()


def _require(taps: set[str], shapes: Shapes, whose: str) -> None:
    missing = sorted(taps - shapes.keys())
    if missing:
        raise RecipeError(
            f"an objective reads the stage {', '.join(missing)} of {whose}, "
            f"which has {', '.join(shapes)}",
            hint="name one of its stages",
        )
