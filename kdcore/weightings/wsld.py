"""Weighted soft labels (WSLD): follow the teacher less where the student already does as well.

Formula
    w_i = 1 - exp( -CE(z_s, y) / (CE(z_t, y) + 1e-7) ), both at temperature 1, without gradient
    The method: L = CE + alpha T^2 * mean_i( w_i KL( softmax(z_t / T) || softmax(z_s / T) ) )
Shapes
    student, teacher logits (B, C); labels (B,) in [0, C); result (B,) in [0, 1]. It is 0 where the
    student is certain of the label, 1 - 1/e = 0.632 where both are equally far from it, and nears 1
    where the student is much farther. A hidden label is the teacher's best class.
Paper
    Zhou, Song, Chen, Zhou, Wang, Yuan, Zhang. Rethinking Soft Labels for Knowledge Distillation:
    A Bias-Variance Tradeoff Perspective. ICLR 2021. arXiv:2102.00650
Source
    bellymonster/Weighted-Soft-Label-Distillation, knowledge_distiller.py (ImageNet: T = 2,
    alpha = 2.5); yzd-v/cls_KD, mmcls/models/dis_losses/wsld.py (CIFAR-100: T = 4, alpha = 2.25, the
    defaults here). Both weigh the soft cross-entropy where we weigh the divergence: since the
    weights carry no gradient, the gradient is the same, and the loss is lower by
    alpha T^2 mean(w_i H(softmax(z_t / T))). The first leaves the teacher in training mode, so that
    its batch statistics move; here, as everywhere, the teacher stays as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.functional import targets, widened
from kdcore.lazy import F, torch
from kdcore.method import Method, Pair
from kdcore.weighting import Weighting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.tensors import Seen

_EPSILON = 1e-7  # the authors'


class WSLD(Weighting):
    """Follow the teacher less where the student already does as well."""

    name: Literal["wsld"] = "wsld"

    needs_labels: ClassVar[bool] = True

    def weights(self, seen: Seen, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        student, teacher = seen.student.logits, seen.teacher.logits
        return wsld_weights(student, teacher, targets(seen.batch.labels, teacher))


class WSLDMethod(Method):
    """Labels with full weight, and KD weighed by sample."""

    name: Literal["wsld"] = "wsld"
    title: ClassVar[str] = "Weighted soft labels distillation"
    alpha: Annotated[float, Field(ge=0, le=1e6)] = 2.25
    """Factor of the weighed term; 2.25 for CIFAR-100, 2.5 for ImageNet."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """Softening temperature T of both networks; 4 for CIFAR-100, 2 for ImageNet."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + alpha T^2 w KL."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {"name": "kd", "weight": self.alpha},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
            "weighting": {"name": "wsld"},
        }


def wsld_weights(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """Return weights `(B,)` without gradient of logits `(B, C)` and labels `(B,)`."""
    student, teacher = (
        F.cross_entropy(widened(logits.detach()), labels, reduction="none")
        for logits in (student_logits, teacher_logits)
    )
    return -torch.expm1(-student / (teacher + _EPSILON))
