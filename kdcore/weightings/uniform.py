"""Every sample counts alike.

Formula
    w_i = 1
Shapes
    no weights are formed
Paper
    The implicit choice of Hinton, Vinyals, Dean. arXiv:1503.02531
Source
    None needed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kdcore.weighting import Weighting

if TYPE_CHECKING:
    from torch import nn

    from kdcore.tensors import Seen


class Uniform(Weighting):
    """Every sample counts alike."""

    name: Literal["uniform"] = "uniform"

    def weights(self, seen: Seen, heads: nn.Module | None) -> None:
        """Return no weights."""
        return
