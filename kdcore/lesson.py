"""What a stage is given beside its own description, and the batches that it draws."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from kdcore.arithmetic import Precision
from kdcore.corpus import Corpus
from kdcore.curriculum import Curriculum
from kdcore.dataset import Augmentation
from kdcore.plan import Stage
from kdcore.runtime import derive_seed
from kdcore.teacher_cache.answers import Answering
from kdcore.temperature import Temperature
from kdcore.tensors import Batch, Mixed
from kdcore.training import steps_per_epoch
from kdcore.weighting import Weighting


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What a stage learns from."""

    corpus: Corpus
    labels: Tensor
    """`(N,)`: the labels that this stage may see."""
    pool: Tensor
    """Indices of the samples that it draws from; the easiest first, if there is a curriculum."""
    teachers: tuple[Answering, ...]
    temperature: Temperature
    weighting: Weighting
    augmentation: Augmentation
    curriculum: Curriculum
    partners: Tensor | None = None
    """`(M,)`, ascending: the samples that may be mixed into another one, where not all may."""
    inherits: nn.Module | None = None
    """The network that the model takes weights from."""
    precision: Precision = "float32"
    """Numbers that the network multiplies in while it learns."""
    compiled: bool = False
    """Whether it is compiled."""
    teacher_said: Tensor | None = None
    """`(N_validation, C)`: the teacher's logits, which the network is compared with on the way."""

    def steps_per_epoch(self, stage: Stage) -> int:
        """Return the steps of one pass over the pool."""
        return steps_per_epoch(len(self.pool), stage.batch_size)


def draw(step: int, stage: Stage, lesson: Lesson) -> Batch:
    """Return the batch of a step, counted from 0; it depends on nothing else."""
    size = stage.batch_size
    lap = _lap(step, stage, lesson)
    place = step - lap.first_step
    index = _order(lesson, stage.seed, lap)[place * size : (place + 1) * size]
    how = lesson.augmentation
    seed, number, stored = stage.seed, lap.number, 0
    if how.changes and how.views != "fresh":
        seed, number = None, (lap.number + stage.seed) % how.views
        stored = number
    view = lesson.corpus.view(index, how, seed=seed, number=number, among=lesson.partners)
    mix = view.mix and Mixed(lesson.labels[view.mix.partner], view.mix.own)
    labels = lesson.labels[index]
    ids = lesson.corpus.ids
    return Batch(
        view.inputs,
        labels,
        index,
        view=lap.number,
        stored=stored,
        mixed=mix,
        padding=ids.pad if ids else None,
    )


@dataclass(frozen=True, slots=True)
class _Lap:
    """One pass over the samples that are in use; without a curriculum it is an epoch."""

    number: int
    first_step: int
    samples: int


def _lap(step: int, stage: Stage, lesson: Lesson) -> _Lap:
    size = stage.batch_size
    growing = _growing_laps(lesson, size, stage.total_steps)
    if growing and step < growing[-1].first_step:
        return growing[bisect_right(growing, step, key=lambda lap: lap.first_step) - 1]
    full = growing[-1] if growing else _Lap(0, 0, len(lesson.pool))
    passes, place = divmod(step - full.first_step, lesson.steps_per_epoch(stage))
    return _Lap(full.number + passes, step - place, full.samples)


@lru_cache(maxsize=2)
def _growing_laps(lesson: Lesson, batch_size: int, total_steps: int) -> list[_Lap]:
    """Return the passes up to the first one over everything; none where the first one is."""
    laps: list[_Lap] = []
    step, everything = 0, len(lesson.pool)
    while step < total_steps:
        share = lesson.curriculum.share(step / total_steps)
        samples = min(max(math.ceil(share * everything), min(batch_size, everything)), everything)
        laps.append(_Lap(len(laps), step, samples))
        if samples == everything:
            break
        step += max(samples // batch_size, 1)
    else:
        # The training ends before everything is in use: what comes after it is never drawn.
        laps.append(_Lap(len(laps), step, everything))
    return laps if len(laps) > 1 else []


@lru_cache(maxsize=2)
def _order(lesson: Lesson, seed: int, lap: _Lap) -> Tensor:
    """Return the samples of a lap in its order; it is the same for every step of it."""
    generator = torch.Generator().manual_seed(derive_seed("order", seed, lap.number))
    order = torch.randperm(lap.samples, generator=generator)
    return lesson.pool[order.to(lesson.pool.device)]
