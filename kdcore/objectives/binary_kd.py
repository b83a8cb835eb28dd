"""Distillation of labels that stand for themselves: match each one's softened probability.

Formula
    L = T^2 * mean over c of KL( Bernoulli(sigmoid(t_c / T)) || Bernoulli(sigmoid(z_c / T)) )
Shapes
    student, teacher logits (B, C); result (B,) in nats, 0 where they are equal
Paper
    Yang, Xie, Zong, Feng, Niu, Sugiyama, Huang. Multi-Label Knowledge Distillation. 2023.
    arXiv:2308.06453, equation 2 (multi-label logits distillation, MLD)
Source
    penghui-yang/L2D, src/helper_functions/losses.py (MLD): the divergence of both halves, given and
    not, as there. The mean over labels, so that its size is that of binary cross-entropy, and T
    are ours; there T is 1 and labels are added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from kdcore.functional import widened
from kdcore.lazy import F
from kdcore.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class BinaryKD(Objective):
    """Match the probability of each label."""

    name: Literal["binary_kd"] = "binary_kd"

    softens: ClassVar[bool] = True
    tasks: ClassVar[frozenset[str] | None] = frozenset({"multi_label"})

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        return softened.scale * _divergence(softened.student_logits, softened.teacher_logits)


def binary_kd_loss(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 4.0
) -> Tensor:
    """Return the mean loss of logits `(B, C)`, a scalar in nats."""
    divergence = _divergence(student_logits / temperature, teacher_logits / temperature)
    return temperature**2 * divergence.mean()


def _divergence(student: Tensor, teacher: Tensor) -> Tensor:
    student, teacher = widened(student), widened(teacher)
    given = teacher.sigmoid()
    kept = F.logsigmoid(teacher) - F.logsigmoid(student)
    left = F.logsigmoid(-teacher) - F.logsigmoid(-student)
    return (given * kept + (1 - given) * left).mean(-1)
