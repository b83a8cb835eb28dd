"""What a stage is given beside its own description, and the batches that it draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from kdcore.augment import augmented
from kdcore.corpus import Corpus
from kdcore.dataset import Augmentation
from kdcore.plan import Stage, steps_per_epoch
from kdcore.runtime import derive_seed
from kdcore.temperature import Temperature
from kdcore.tensors import Batch
from kdcore.weighting import Weighting


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What a stage learns from."""

    corpus: Corpus
    labels: Tensor
    """`(N,)`: the labels that this stage may see."""
    pool: Tensor
    """Indices of the samples that it draws from."""
    teachers: tuple[nn.Sequential, ...]
    temperature: Temperature
    weighting: Weighting
    augmentation: Augmentation

    def steps_per_epoch(self, stage: Stage) -> int:
        """Return the steps of one pass over the pool."""
        return steps_per_epoch(len(self.pool), stage.training)


def draw(step: int, stage: Stage, lesson: Lesson) -> Batch:
    """Return the batch of a step, counted from 0; it depends on nothing else."""
    size = stage.training.per_device_train_batch_size
    epoch, place = divmod(step, lesson.steps_per_epoch(stage))
    index = _order(lesson, stage.seed, epoch)[place * size : (place + 1) * size]
    inputs = augmented(
        lesson.corpus.train.inputs[index],
        index,
        how=lesson.augmentation,
        seed=stage.seed,
        view=epoch,
    )
    return Batch(inputs, lesson.labels[index], index, view=epoch)


@lru_cache(maxsize=2)
def _order(lesson: Lesson, seed: int, epoch: int) -> Tensor:
    """Return the pool in the order of an epoch; it is the same for every step of it."""
    generator = torch.Generator().manual_seed(derive_seed("order", seed, epoch))
    order = torch.randperm(len(lesson.pool), generator=generator)
    return lesson.pool[order.to(lesson.pool.device)]
