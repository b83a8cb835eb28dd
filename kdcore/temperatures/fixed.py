"""A fixed temperature for both networks.

Formula
    z / T for teacher and student; the loss is scaled by T^2
Shapes
    logits (B, C) -> (B, C)
Paper
    Hinton, Vinyals, Dean. Distilling the Knowledge in a Neural Network. 2015. arXiv:1503.02531
Source
    HobbitLong/RepDistiller, distiller_zoo/KD.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from kdcore.temperature import Softened, Temperature

if TYPE_CHECKING:
    from torch import nn

    from kdcore.tensors import Seen


class Fixed(Temperature):
    """The same temperature for every sample and step."""

    name: Literal["fixed"] = "fixed"
    value: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """Temperature T; 1 leaves the logits as they are."""

    def soften(self, seen: Seen, heads: nn.Module | None) -> Softened:
        """Divide both networks' logits by T."""
        return Softened(
            seen.student.logits / self.value,
            seen.teacher.logits / self.value,
            scale=self.value**2,
        )
