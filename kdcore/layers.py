"""Building blocks that torch does not have ready. Plain torch: import it inside `build` alone."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


class Residual(nn.Module):
    """`relu(block(x) + shortcut(x))`, shapes `(B, C, H, W)`."""

    def __init__(self, block: nn.Module, shortcut: nn.Module | None = None) -> None:
        """Add `block` to `shortcut`, or to the input itself; both must have the same shape."""
        super().__init__()
        self.block = block
        self.shortcut = shortcut or nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the rectified sum."""
        return nn.functional.relu(
            cast("Tensor", self.block(inputs)) + cast("Tensor", self.shortcut(inputs))
        )
