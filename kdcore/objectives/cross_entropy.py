"""Cross-entropy with the labels: what the student would learn without a teacher.

Formula
    L = -log softmax(z)_y, averaged over the samples whose label is known
    of an image mixed by the share s: L = -s log softmax(z)_y - (1 - s) log softmax(z)_y', averaged
    over the shares whose label is known
Shapes
    student logits (B, C); labels (B,) in [0, C) or -1 where hidden; result () in nats, 0 if all are
    hidden
    y' (B,) the labels of what was mixed in, s (B,) in [0, 1]
Paper
    The task loss of Hinton, Vinyals, Dean. Distilling the Knowledge in a Neural Network.
    arXiv:1503.02531
    Mixed labels: Zhang, Cisse, Dauphin, Lopez-Paz. mixup. arXiv:1710.09412; Yun et al. CutMix.
    arXiv:1905.04899
Source
    torch.nn.functional.cross_entropy; facebookresearch/mixup-cifar10, train.py (mixup_criterion).
    Theirs know every label. That a hidden one leaves the other with its own share is ours: a blend
    that is a tenth known counts a tenth, and what the rest of it is the teacher tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from kdcore.functional import labels_loss, widened
from kdcore.lazy import F
from kdcore.objective import Objective
from kdcore.tensors import HIDDEN

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class CrossEntropy(Objective):
    """Agree with the labels."""

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the target's mass that is spread evenly over all classes."""

    needs_teacher: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    mixes_labels: ClassVar[bool] = True

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        logits, smoothing = seen.student.logits, self.label_smoothing
        if seen.batch.mixed is None:
            return cross_entropy_loss(logits, seen.batch.labels, label_smoothing=smoothing)
        losses, known = labels_loss(logits, seen.batch, label_smoothing=smoothing)
        return losses.sum() / known.sum().clamp(min=1)  # under one label in all: as it is


def cross_entropy_loss(logits: Tensor, labels: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Return the mean cross-entropy of logits `(B, C)` over the labelled of `(B,)`; 0 for none."""
    total = F.cross_entropy(
        widened(logits),
        labels,
        ignore_index=HIDDEN,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total / (labels != HIDDEN).sum().clamp(min=1)
