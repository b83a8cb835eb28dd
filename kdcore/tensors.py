"""The records that travel through a training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

_FLOAT32_BYTES = 4
HIDDEN = -1
"""The class of a sample whose label is not known to this stage, or all its labels where there are
several; NaN where labels are numbers."""


def is_known(labels: Tensor) -> Tensor:
    """Return which labels `(N,)` or `(N, C)` are known, `(N,)`."""
    known = ~labels.isnan() if labels.is_floating_point() else labels != HIDDEN
    return known if labels.dim() == 1 else known.all(1)


@dataclass(frozen=True, slots=True)
class Mixed:
    """What was mixed into the samples of a batch."""

    labels: Tensor
    """Of the samples that were mixed in, as in `Batch`."""
    own: Tensor
    """`(B,)` in [0, 1], float32: how much of each sample is still its own."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step sees of the data."""

    inputs: Tensor
    """`(B, *input_shape)`, augmented; texts are `(B, L)` ids."""
    labels: Tensor
    """`(B,)` in [0, C), or `(B, C)` where a sample has several; see `HIDDEN`."""
    index: Tensor
    """`(B,)`: the samples' places in the training set."""
    view: int
    """Number of the pass: what is random in a loss is drawn by (index, view)."""
    stored: int = 0
    """Number of the stored view that the inputs are, where views are stored: a teacher's kept
    answers are looked up by (index, stored)."""
    mixed: Mixed | None = None
    """Where inputs are mixed: `labels` is then what the samples' own share is labelled."""
    padding: int | None = None
    """Where inputs are texts: the id behind a text's end."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network says of a batch."""

    logits: Tensor
    """`(B, C)`, before any temperature."""
    features: dict[str, Tensor]
    """The outputs of the stages that were asked for, by name."""

    def widened(self) -> Outputs:
        """Return the same with half precisions as float32: losses are never taken in these."""
        return Outputs(
            _widened(self.logits), {name: _widened(one) for name, one in self.features.items()}
        )


def _widened(numbers: Tensor) -> Tensor:
    return numbers.float() if numbers.element_size() < _FLOAT32_BYTES else numbers


@dataclass(frozen=True, slots=True)
class Taps:
    """Names of the stages whose outputs are wanted as features."""

    student: tuple[str, ...] = ()
    teacher: tuple[str, ...] = ()
    attention_heads: int = 1
    """How many heads share each feature, for whoever takes them apart."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one step shows to the axes."""

    student: Outputs
    teacher: Outputs
    """Of one teacher, without gradient; the student's own where nobody teaches."""
    batch: Batch
    epoch: int
    """Counted from 0."""
    progress: float
    """Share of the stage's steps that are done, 0 to 1."""
    taps: Taps
    """Stages that the asking entry has named itself, in its own order."""
    seed: int
    """Of the stage. What is random is drawn by (seed, sample, view): see `kdcore.counters`."""


Shapes: TypeAlias = dict[str, tuple[int, ...]]
"""Shape of each named stage's output, without the batch."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What learned parts are built to fit."""

    student: Shapes
    teacher: Shapes
    num_classes: int
    num_samples: int = 0
    """Of the training set, for what is remembered by sample; 0 before the data is read."""
