"""The records that travel through a training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

HIDDEN = -1
"""The label of a sample whose label is not known to this stage."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step sees of the data."""

    inputs: Tensor
    """`(B, *input_shape)`, augmented."""
    labels: Tensor
    """`(B,)` in [0, C), or `HIDDEN`."""
    index: Tensor
    """`(B,)`: the samples' places in the training set; what is cached by sample is found by it."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network says of a batch."""

    logits: Tensor
    """`(B, C)`, before any temperature."""
    features: dict[str, Tensor]
    """The outputs of the stages that were asked for, by name."""


Shapes: TypeAlias = dict[str, tuple[int, ...]]
"""Shape of each named stage's output, without the batch."""
