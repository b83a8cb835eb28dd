"""The loss of a stage: its objectives, softened and weighted, over the teachers that it hears."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor, nn

from kdcore.arithmetic import casting
from kdcore.counters import uniform
from kdcore.learned import Learner
from kdcore.lesson import Lesson
from kdcore.network import measured, observe, shapes_of
from kdcore.objective import Objective
from kdcore.plan import Stage
from kdcore.ranks import ALONE, Ranks
from kdcore.teacher_cache.answers import Kept
from kdcore.temperature import Softened
from kdcore.tensors import Batch, Outputs, Seen, Shapes, Sizes, Taps

_HEARD = zlib.crc32(b"which teachers are heard")


class Teaching:
    """Everything that turns a student's outputs into a loss; `heads` is what is learned in it."""

    def __init__(
        self, stage: Stage, lesson: Lesson, student: nn.Module, ranks: Ranks = ALONE
    ) -> None:
        """Make the learned parts that the axes bring along.

        Raises:
            RecipeError: an objective reads a stage that a network does not have.
        """
        self.stage = stage
        self.lesson = lesson
        self._ranks = ranks
        self.heads = nn.ModuleDict()
        self.taps: dict[tuple[str, int], Taps] = {}
        shapes = shapes_of(student, lesson.corpus.input_shape)
        for place, sizes in enumerate(_sizes(lesson, shapes)):
            for name, learner in _learners(stage, lesson):
                self.taps[name, place] = learner.taps(sizes)
                if (head := learner.heads(sizes)) is not None:
                    self.heads[f"{name}-{place}"] = head
        self.learned = ["temperature"] if "temperature-0" in self.heads else []
        """Numbers that are learned beside the network, each with a curve."""
        self._student_taps = {name for taps in self.taps.values() for name in taps.student}
        self._teacher_taps = teacher_taps(stage, lesson)
        self._observe = observe
        if lesson.compiled:
            # Afresh: what was compiled for earlier networks counts towards a limit, behind which
            # nothing is compiled any more.
            torch.compiler.reset()
            self._observe = torch.compile(observe)

    def loss(
        self, student: nn.Module, batch: Batch, *, step: int, epoch: int
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the weighted sum of the objectives, and each of them unweighted, all `()`.

        Behind these stand the `learned` numbers. `step` and `epoch` count from 0.
        """
        progress = step / self.stage.total_steps

        def answered(batch: Batch) -> Outputs:
            with casting(batch.inputs.device, self.lesson.precision):
                return self._observe(student, batch.inputs, self._student_taps).widened()

        outputs = self._ranks.together(batch, answered)
        voices = [
            _Voice(self, place, outputs, self._answers(place, batch), batch, epoch, progress)
            for place in self._heard(step, progress)
        ]
        weighted: list[Tensor] = []
        terms: list[Tensor] = []
        for which, objective in enumerate(self.stage.objectives):
            speakers = voices if objective.needs_teacher else voices[:1]
            parts = [voice.term(which, objective) for voice in speakers]
            term = parts[0] if len(parts) == 1 else torch.stack(parts).sum()
            terms.append(term.detach())
            weighted.append(self._factor(objective, epoch, progress, len(voices)) * term)
        weighted += [own for voice in voices if (own := voice.weighting_loss()) is not None]
        if self.learned:
            terms.append(torch.stack([voice.temperature() for voice in voices]).mean())
        return reduce(torch.add, weighted), terms

    def _factor(self, objective: Objective, epoch: int, progress: float, heard: int) -> float:
        """Return what a term is multiplied by in this step."""
        if not objective.begin <= progress < objective.end:
            return 0.0
        warmed = min((epoch + 1) / objective.warmup_epochs, 1) if objective.warmup_epochs else 1
        times = 1
        if not objective.needs_teacher:
            teachers = max(len(self.lesson.teachers), 1)
            counts = {"once": 1, "each_teacher": teachers, "each_heard": heard}
            times = counts[self.stage.link.labels]
        return objective.weight * warmed * times

    def _heard(self, step: int, progress: float) -> list[int]:
        """Return the places of the teachers that speak in this step; 0 where there is none."""
        count = max(len(self.lesson.teachers), 1)
        link = self.stage.link
        if link.teachers == "in_turn":
            return [int(progress * count)]
        if link.keep == 1 or count == 1:
            return list(range(count))
        places = torch.arange(count)
        for attempt in itertools.count():  # until a draw keeps somebody
            kept = uniform(self.stage.seed, _HEARD + attempt, places, step) < link.keep
            if kept.any():
                return [place for place in range(count) if kept[place]]
        raise AssertionError

    def _answers(self, place: int, batch: Batch) -> Outputs | None:
        if not self.lesson.teachers:
            return None
        teacher, taps = self.lesson.teachers[place], self._teacher_taps[place]
        if isinstance(teacher, Kept):  # it is looked up as quickly as it would be sent around
            return teacher.answers(batch, taps)
        return self._ranks.together(batch, lambda part: teacher.answers(part, taps))


def teacher_taps(stage: Stage, lesson: Lesson) -> list[set[str]]:
    """Return, for each teacher, its stages whose outputs a training reads.

    Raises:
        RecipeError: an objective reads a stage that a network does not have.
    """
    corpus = lesson.corpus
    sizes = _sizes(lesson, measured(stage.model, corpus.input_shape, corpus.num_classes))
    learners = _learners(stage, lesson)
    return [{name for _, one in learners for name in one.taps(size).teacher} for size in sizes]


def _sizes(lesson: Lesson, student: Shapes) -> list[Sizes]:
    """Return what learned parts are built to fit, for each teacher."""
    # A term that follows nobody may still read the student's own features.
    teachers = [teacher.shapes for teacher in lesson.teachers] or [{}]
    return [
        Sizes(
            student=student,
            teacher=teacher,
            num_classes=lesson.corpus.num_classes,
            num_samples=len(lesson.labels),
        )
        for teacher in teachers
    ]


def _learners(stage: Stage, lesson: Lesson) -> list[tuple[str, Learner]]:
    objectives: list[tuple[str, Learner]] = [
        (f"objective-{which}", objective) for which, objective in enumerate(stage.objectives)
    ]
    if not lesson.teachers:
        return objectives
    return [*objectives, ("temperature", lesson.temperature), ("weighting", lesson.weighting)]


@dataclass(frozen=True)
class _Voice:
    """One teacher in one step: what it says, softened and weighted; or nobody."""

    teaching: Teaching
    place: int
    student: Outputs
    teacher: Outputs | None
    batch: Batch
    epoch: int
    progress: float

    def term(self, which: int, objective: Objective) -> Tensor:
        """Return an objective's term for this teacher, `()`."""
        name = f"objective-{which}"
        precision = self.teaching.lesson.precision if objective.convolves else "float32"
        with casting(self.batch.inputs.device, precision):
            term = objective.loss(self._seen(name), self._softened, self._head(name))
        if not term.dim():
            return term
        if objective.needs_teacher and self._weights is not None:
            term = term * self._weights
        return term.mean()

    def weighting_loss(self) -> Tensor | None:
        """Return what the weighting's own learned parts are trained by, `()`."""
        if self.teacher is None:
            return None
        weighting = self.teaching.lesson.weighting
        return weighting.own_loss(self._seen("weighting"), self._softened, self._head("weighting"))

    def temperature(self) -> Tensor:
        """Return what the logits were divided by, the mean of the samples, `()`."""
        return torch.as_tensor(self._softened.scale).detach().sqrt().mean()

    @cached_property
    def _softened(self) -> Softened:
        if self.teacher is None:  # nobody looks at it
            return Softened(self.student.logits, self.student.logits, 1.0)
        temperature = self.teaching.lesson.temperature
        return temperature.soften(self._seen("temperature"), self._head("temperature"))

    @cached_property
    def _weights(self) -> Tensor | None:
        weighting = self.teaching.lesson.weighting
        return weighting.weights(self._seen("weighting"), self._head("weighting"))

    def _seen(self, name: str) -> Seen:
        return Seen(
            student=self.student,
            teacher=self.teacher or self.student,
            batch=self.batch,
            epoch=self.epoch,
            progress=self.progress,
            taps=self.teaching.taps[name, self.place],
            seed=self.teaching.stage.seed,
        )

    def _head(self, name: str) -> nn.Module | None:
        heads, key = self.teaching.heads, f"{name}-{self.place}"
        return heads[key] if key in heads else None  # noqa: SIM401  # it has no get
