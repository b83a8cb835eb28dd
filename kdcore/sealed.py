"""Networks of one piece: they answer, and nobody trains them or takes them to pieces."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn

from kdcore.stages import LayerShapes
from kdcore.tensors import Outputs


class Sealed(nn.Module):
    """From inputs `(B, *shape)` to logits `(B, C)`, on the CPU, by a file that is its weights."""

    numbers: int
    """How many there are in its tensors."""
    layer_shapes: LayerShapes
    """Of what it gives beside the logits."""
    size_bytes: int
    """Of the file."""

    def observed(self, inputs: Tensor, taps: Collection[str]) -> Outputs:
        """Return the logits, and what it gives under these names."""
        raise NotImplementedError
