"""Asymmetric temperature scaling (ATS): soften the teacher's target class more than the others.

Formula
    teacher: z_y / tau_target, z_i / tau_others for i != y;  student: z / tau_student
    the loss is scaled by tau_student^2
Shapes
    logits (B, C) -> (B, C); labels (B,) in [0, C), a hidden one taking the teacher's best class.
    Logits count as the network emits them: adding a constant to the teacher's changes the result,
    and a higher tau_target lowers the target's probability only where its logit is above 0.
Paper
    Li, Fan, Song, Li, Li, Shao, Zhan. Asymmetric Temperature Scaling Makes Larger Networks Teach
    Well Again. NeurIPS 2022. arXiv:2210.04427
Source
    lxcnju/ATS-LargeKD, distill.py (tp_tau, t_tau, s_tau), train_distill_ats.py: s_tau 1, lamb .5,
    tp_tau searched in 1..6 and t_tau in 1..5; 4 and 2 are its defaults. Their loss is the soft
    cross-entropy; the method here takes KL, which is that less the teacher's entropy, with the same
    gradient. Their teacher runs with gradients on; here it never does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.functional import targets, widened
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.temperature import Softened, Temperature

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.tensors import Seen

Tau = Annotated[float, Field(ge=0.001, le=1000)]


class ATS(Temperature):
    """One temperature for the teacher's target class, and another for its other classes."""

    name: Literal["ats"] = "ats"
    target: Tau = 4.0
    """Temperature of the teacher's target class; above `others` in the paper."""
    others: Tau = 2.0
    """Temperature of the teacher's other classes."""
    student: Tau = 1.0
    """Temperature of the student's logits; its square scales the loss."""

    needs_labels: ClassVar[bool] = True

    def soften(self, seen: Seen, heads: nn.Module | None) -> Softened:
        """Divide the teacher's logits class by class, and the student's as a whole."""
        labels = targets(seen.batch.labels, seen.teacher.logits)
        return Softened(
            widened(seen.student.logits) / self.student,
            asymmetric(seen.teacher.logits, labels, target=self.target, others=self.others),
            scale=self.student**2,
        )


class ATSMethod(Method):
    """Labels and the teacher's asymmetrically softened answers, half and half."""

    name: Literal["ats"] = "ats"
    title: ClassVar[str] = "Asymmetric temperature scaling"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the teacher in the loss; the labels have the rest."""
    target: Tau = 4.0
    """Temperature of the teacher's target class; the paper searches 1 to 6."""
    others: Tau = 2.0
    """Temperature of the teacher's other classes; the paper searches 1 to 5."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """(1 - alpha) CE + alpha KL."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": round(1 - self.alpha, 12)},
                {"name": "kd", "weight": self.alpha},
            ],
            "temperature": {"name": "ats", "target": self.target, "others": self.others},
        }


def asymmetric(
    teacher_logits: Tensor, labels: Tensor, *, target: float = 4.0, others: float = 2.0
) -> Tensor:
    """Return logits `(B, C)`, each label's class `(B,)` divided by `target`, the rest by `others`.

    Half precisions come back as float32.
    """
    logits = widened(teacher_logits)
    return logits / torch.full_like(logits, others).scatter(1, labels.unsqueeze(1), target)
