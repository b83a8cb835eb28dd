"""Binary cross-entropy with the labels: each label of its own, given or not.

Formula
    L = mean over c of -y_c log sigmoid(z_c) - (1 - y_c) log (1 - sigmoid(z_c)), averaged over the
    samples whose labels are known; an image mixed by the share s counts with s of its own labels
    and 1 - s of the other's
Shapes
    student logits (B, C); labels (B, C) of 0 and 1, a row of -1 where hidden; result () in nats, 0
    if all are hidden
Paper
    The task loss of Yang, Xie, Zong, Feng, Niu, Sugiyama, Huang. Multi-Label Knowledge
    Distillation. 2023. arXiv:2308.06453
Source
    torch.nn.functional.binary_cross_entropy_with_logits, its mean over the labels
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from kdcore.functional import mean_of_known, widened
from kdcore.lazy import F
from kdcore.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class BinaryCrossEntropy(Objective):
    """Agree with each label."""

    name: Literal["binary_cross_entropy"] = "binary_cross_entropy"

    needs_teacher: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    mixes_labels: ClassVar[bool] = True
    tasks: ClassVar[frozenset[str] | None] = frozenset({"multi_label"})

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        logits = seen.student.logits
        return mean_of_known(seen.batch, lambda labels: _losses(logits, labels))


def binary_cross_entropy_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean loss of logits `(B, C)` and labels `(B, C)` of 0 and 1, `()` in nats."""
    return _losses(logits, labels).mean()


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    logits = widened(logits)
    losses = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="none")
    return losses.mean(-1)
