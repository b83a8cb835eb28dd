"""No curriculum: every sample in every pass.

Formula
    share(t) = 1
Shapes
    no scores are formed
Paper
    The implicit choice of Hinton, Vinyals, Dean. arXiv:1503.02531
Source
    None needed
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kdcore.curriculum import Curriculum

if TYPE_CHECKING:
    from torch import Tensor


class Everything(Curriculum):
    """Every sample in every pass."""

    name: Literal["everything"] = "everything"

    def scores(self, teacher_logits: Tensor, labels: Tensor) -> None:
        """Return no scores."""
        return

    def share(self, progress: float) -> float:
        """Return all of them."""
        return 1.0
