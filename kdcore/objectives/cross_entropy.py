"""Cross-entropy with the labels: what the student would learn without a teacher.

Formula
    L = -log softmax(z)_y, averaged over the samples whose label is known
Shapes
    student logits (B, C); labels (B,) in [0, C) or -1 where hidden; result (B,) in nats
Paper
    The task loss of Hinton, Vinyals, Dean. Distilling the Knowledge in a Neural Network.
    arXiv:1503.02531
Source
    torch.nn.functional.cross_entropy
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from kdcore.functional import log_softmax
from kdcore.lazy import F
from kdcore.objective import Objective
from kdcore.tensors import HIDDEN

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Batch, Outputs


class CrossEntropy(Objective):
    """Agree with the labels."""

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target's mass that is spread evenly over all classes."""

    needs_teacher: ClassVar[bool] = False

    def loss(
        self,
        student: Outputs,
        teacher: Outputs,
        batch: Batch,
        softened: Softened,
        heads: nn.Module | None,
    ) -> Tensor:
        """See the formula of this file."""
        return cross_entropy_loss(
            student.logits, batch.labels, label_smoothing=self.label_smoothing
        )


def cross_entropy_loss(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy of each row, logits `(B, C)` and labels `(B,)` -> `(B,)`.

    Hidden labels give 0, and the others are scaled up so that the mean over the batch is the mean
    over the labelled samples.
    """
    known = labels != HIDDEN
    log_probs = log_softmax(logits)
    losses = F.nll_loss(log_probs, labels.clamp(min=0), reduction="none")
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * log_probs.mean(-1)
    labelled = known.sum().clamp(min=1).to(losses.dtype)
    return losses * known * (labels.shape[0] / labelled)
