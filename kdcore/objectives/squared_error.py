"""Squared error to the labels, where these are numbers.

Formula
    L = mean over targets of (y - z)^2, averaged over the samples whose targets are known; an image
    mixed by the share s counts with s of its own error and 1 - s of that to the other's targets
Shapes
    student outputs (B, T); labels (B, T), NaN where hidden; result (), in squares of the standard
    deviations that targets are counted in; 0 if all are hidden
Paper
    The task loss of Ba, Caruana. Do Deep Nets Really Need to be Deep? 2014. arXiv:1312.6184
Source
    torch.nn.functional.mse_loss
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from kdcore.functional import mean_of_known, widened
from kdcore.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class SquaredError(Objective):
    """Meet the numbers."""

    name: Literal["squared_error"] = "squared_error"

    needs_teacher: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    mixes_labels: ClassVar[bool] = True
    tasks: ClassVar[frozenset[str] | None] = frozenset({"regression"})

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        outputs = widened(seen.student.logits)
        return mean_of_known(
            seen.batch, lambda targets: (outputs - targets.nan_to_num()).square().mean(-1)
        )


def squared_error_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss of outputs `(B, T)` and targets `(B, T)`, a scalar."""
    return (outputs - targets).square().mean()
