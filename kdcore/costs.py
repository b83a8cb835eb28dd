"""What a run takes on its device and on the disk, as the first steps of its trainings showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from torch import nn

from kdcore.corpus import Corpus
from kdcore.held import bytes_in
from kdcore.keeping import is_earned_back, wanted, why_live
from kdcore.lesson import Lesson
from kdcore.plan import Stage
from kdcore.recipe import Recipe
from kdcore.stage import FirstStep
from kdcore.teacher_cache.answers import Live
from kdcore.teacher_cache.sheet import size_of
from kdcore.teaching import teacher_taps


@dataclass(slots=True)
class Costs:
    """What was seen so far."""

    recipe: Recipe
    corpus: Corpus
    plan: Sequence[Stage]
    memory_bytes: int = 0
    """At the largest training."""
    _networks: dict[str, FirstStep] = field(default_factory=dict[str, FirstStep])
    """Of each kind of network, the largest."""
    _sheets: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """Bytes in the teacher cache, by teacher and sheet: what trainings share is there once."""

    def add(self, stage: Stage, lesson: Lesson, first: FirstStep) -> None:
        """Count a training in."""
        teachers = [one.network for one in lesson.teachers if isinstance(one, Live)]
        inherited = [lesson.inherits] if lesson.inherits is not None else []
        taken = first.memory_bytes + _corpus_bytes(self.corpus)
        # The one that is inherited from may be a teacher as well.
        taken += sum(_weights(network) for network in {*teachers, *inherited})
        self.memory_bytes = max(self.memory_bytes, taken)
        kind = stage.model.model_dump_json()
        known = self._networks.get(kind)
        if known is None or known.checkpoint_bytes < first.checkpoint_bytes:
            self._networks[kind] = first
        self._add_answers(stage, lesson)

    def _add_answers(self, stage: Stage, lesson: Lesson) -> None:
        caching = self.recipe.teacher_cache
        taps = teacher_taps(stage, lesson) if lesson.teachers else []
        read = zip(stage.link.taught_by, lesson.teachers, taps, strict=True)
        for name, teacher, tapped in read:
            if why_live(caching, lesson, tapped):
                continue
            views = wanted(
                self.corpus, caching, tapped, teacher.shapes, lesson.augmentation, "float32"
            )
            if is_earned_back(caching, self.plan, name, views):
                for sheet in chain.from_iterable(views):
                    self._sheets[name, sheet.name()] = size_of(sheet)

    @property
    def teacher_cache_bytes(self) -> int:
        """What the answers take that would be kept, where none of them is kept yet.

        An assistant, which every seed has of its own, is counted for each of them.
        """
        seeds = len(self.recipe.seeds)
        return sum(
            size * (1 if name.partition("@")[0] == "teacher" else seeds)
            for (name, _), size in self._sheets.items()
        )

    @property
    def run_bytes(self) -> int:
        """What checkpoints that are kept at a time, and finished networks, take."""
        checkpoints = networks = 0
        for stage in self.plan:
            first = self._networks.get(stage.model.model_dump_json())
            if first is None:
                continue
            networks += (1 + len(stage.anchors)) * first.weights_bytes
            training = stage.training
            saves = min((stage.total_steps - 1) // training.save_steps, training.save_total_limit)
            best = first.weights_bytes if self.corpus.validation else 0
            checkpoints = max(checkpoints, saves * (first.checkpoint_bytes + best))
        return checkpoints + networks


def _weights(network: nn.Module) -> int:
    return bytes_in(network.state_dict())


def _corpus_bytes(corpus: Corpus) -> int:
    parts = [part for part in (corpus.train, corpus.validation, corpus.test) if part]
    return sum(bytes_in([part.inputs, part.labels]) for part in parts)
