"""Who answers for a teacher in a step: the network itself, or what it said before.

Both give float32 logits and features without gradient, and both know the shapes of all stages, so
that nobody need ask the network for them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from kdcore.arithmetic import as_images
from kdcore.network import observe, shapes_of
from kdcore.probe import dtype_of
from kdcore.teacher_cache.sheet import Sheet
from kdcore.tensors import Batch, Outputs, Shapes
from kdcore.tokens import in_numbers

LOGITS = "logits"


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """The network is asked in every step."""

    network: nn.Module
    shapes: Shapes
    dtype: torch.dtype
    """Of its weights."""

    @classmethod
    def of(cls, network: nn.Module, input_shape: tuple[int, ...]) -> Live:
        """Have a frozen network answer as it is."""
        return cls(network, shapes_of(network, input_shape), dtype_of(network))

    def answers(self, batch: Batch, taps: Collection[str]) -> Outputs:
        """Return what it says of a batch."""
        inputs = in_numbers(as_images(batch.inputs), self.dtype)
        with torch.no_grad():
            return observe(self.network, inputs, taps).widened()


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What the network said is looked up; the network itself is not needed."""

    views: Sequence[Mapping[str, Sheet]]
    """For each stored view, a sheet for the logits and for each stage that is read."""
    shapes: Shapes

    def answers(self, batch: Batch, taps: Collection[str]) -> Outputs:
        """Return what it said of a batch."""
        sheets = self.views[batch.stored]
        return Outputs(sheets[LOGITS][batch.index], {tap: sheets[tap][batch.index] for tap in taps})


Answering = Live | Kept
