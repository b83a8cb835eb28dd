"""Normalised knowledge distillation (NKD): the target term, and the other classes renormalised.

Formula
    L = - p_y log q_y - gamma * T^2 * sum_{i != y} p'_i log q'_i
    p = softmax(z_t), q = softmax(z_s), both at temperature 1 whatever T is;
    p' = softmax(z_t / T), q' = softmax(z_s / T) over the classes other than y
Shapes
    student, teacher logits (B, C); labels (B,) in [0, C), a hidden one taking the teacher's best
    class; result (B,) in nats. It is a cross-entropy, so at z_s = z_t it is not 0 but
    p_y (-log p_y) + gamma T^2 H(p'). With C = 2 the second term is 0.
Paper
    Yang, Zeng, Li, Zhang, Yuan, Li. From Knowledge Distillation to Self-Knowledge Distillation: A
    Unified Approach with Normalized Loss and Customized Soft Labels. ICCV 2023. arXiv:2303.13005
Source
    yzd-v/cls_KD (branch 1.0), mmcls/models/dis_losses/nkd.py and configs/distillers: ImageNet T = 1
    and gamma = 1.5 (1 for vision transformers), CIFAR-100 ResNet34 to ResNet18 T = 3 and gamma =
    3.5, each beside the ordinary cross-entropy with weight 1; no KD term. Same numbers as there.
    The copy in shicaiwei123/SDD-CVPR2024 does not remove the target class: not followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.functional import log_softmax, targets, without
from kdcore.method import Method, Pair
from kdcore.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class NKD(Objective):
    """Follow the teacher on the target class, and on the renormalised other classes."""

    name: Literal["nkd"] = "nkd"
    gamma: Annotated[float, Field(ge=0, le=1e6)] = 1.5
    """Factor of the term of the other classes; the paper takes 1.5 (ImageNet), 3.5 (CIFAR-100)."""

    softens: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        labels = targets(seen.batch.labels, seen.teacher.logits)
        others = other_classes(softened.student_logits, softened.teacher_logits, labels)
        target = target_class(seen.student.logits, seen.teacher.logits, labels)
        return target + self.gamma * softened.scale * others


class NKDMethod(Method):
    """Labels with full weight, and NKD as on ImageNet; on CIFAR-100 the paper takes 3 and 3.5."""

    name: Literal["nkd"] = "nkd"
    title: ClassVar[str] = "Normalised knowledge distillation"
    gamma: Annotated[float, Field(ge=0, le=1e6)] = 1.5
    """Factor of the term of the other classes: 1.5 on ImageNet, 3.5 on CIFAR-100."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 1.0
    """Softening temperature T of the other classes: 1 on ImageNet, 3 on CIFAR-100."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + NKD."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {"name": "nkd", "gamma": self.gamma},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
        }


def nkd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    gamma: float = 1.5,
    temperature: float = 1.0,
) -> Tensor:
    """Return the mean NKD loss of logits `(B, C)` and labels `(B,)`, a scalar in nats."""
    others = other_classes(student_logits / temperature, teacher_logits / temperature, labels)
    target = target_class(student_logits, teacher_logits, labels)
    return (target + gamma * temperature**2 * others).mean()


def target_class(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """Return -p_y log q_y `(B,)` of logits `(B, C)` as they were emitted."""
    place = labels.unsqueeze(1)
    doubt = -log_softmax(student_logits).gather(1, place)
    return (log_softmax(teacher_logits).gather(1, place).exp() * doubt).squeeze(1)


def other_classes(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy `(B,)` over the classes beside the target, logits softened."""
    student = log_softmax(without(student_logits, labels))  # (B, C-1)
    teacher = log_softmax(without(teacher_logits, labels)).exp()
    return -(teacher * student).sum(-1)
