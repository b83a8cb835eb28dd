"""Decoupled knowledge distillation (DKD): weigh target and non-target knowledge apart.

Formula
    L = T^2 * ( alpha * KL(b_t || b_s) + beta * KL(p_t || p_s) )
    b = (q_y, 1 - q_y) with q = softmax(z / T);  p = softmax(z / T) over the classes other than y
Shapes
    student, teacher logits (B, C); labels (B,) in [0, C); result (B,) in nats. With C = 2 the
    second term is 0.
Paper
    Zhao, Cui, Song, Qiu, Liang. Decoupled Knowledge Distillation. CVPR 2022. arXiv:2203.08679
Source
    megvii-research/mdistiller, mdistiller/distillers/DKD.py and configs/cifar100/dkd.
    There the target class is masked by -1000 and log(1 - q_y) can underflow; here the class is
    dropped and the logarithm is a logsumexp, which is the same number wherever theirs is finite.
    The warm-up counts epochs from 1, as theirs does. On ImageNet they take T = 1, one epoch of
    warm-up, and beta .5 (ResNet34 to ResNet18) or 2 (ResNet50 to MobileNet).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.functional import kl_divergence, log_softmax, targets, without
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class DKD(Objective):
    """Weigh target-class and non-target-class knowledge apart.

    A sample whose label is hidden takes the teacher's best class as its target: the split needs
    one, and the teacher's guess is the only one at hand.
    """

    name: Literal["dkd"] = "dkd"
    alpha: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Factor of the target-class term (TCKD)."""
    beta: Annotated[float, Field(ge=0, le=1e6)] = 8.0
    """Factor of the non-target-class term (NCKD); the paper tunes it by pair, 0.5 to 8."""

    softens: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        labels = targets(seen.batch.labels, seen.teacher.logits)
        tckd, nckd = decoupled_terms(softened.student_logits, softened.teacher_logits, labels)
        return softened.scale * (self.alpha * tckd + self.beta * nckd)


class DKDMethod(Method):
    """Labels with full weight, and DKD warmed up over the first epochs."""

    name: Literal["dkd"] = "dkd"
    title: ClassVar[str] = "Decoupled knowledge distillation"
    alpha: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Factor of the target-class term."""
    beta: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Factor of the non-target-class term; 8, or what the paper has for the pair."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """Softening temperature T of both networks."""
    warmup_epochs: Annotated[float, Field(ge=0, le=10_000)] = 20.0
    """Epochs over which DKD grows to full strength."""

    by_pair: ClassVar[dict[str, dict[Pair, float]]] = {
        "beta": {
            Pair("resnet56", "resnet20"): 2.0,
            Pair("resnet110", "resnet32"): 2.0,
            Pair("resnet32x4", "resnet8x4"): 8.0,
            Pair("wrn_40_2", "wrn_16_2"): 6.0,
            Pair("wrn_40_2", "wrn_40_1"): 6.0,
            Pair("vgg13", "vgg8"): 6.0,
            Pair("vgg13", "mobilenet_v2"): 6.0,
            Pair("resnet50", "mobilenet_v2"): 8.0,
            Pair("resnet32x4", "shufflenet_v1"): 8.0,
            Pair("resnet32x4", "shufflenet_v2"): 8.0,
            Pair("wrn_40_2", "shufflenet_v1"): 8.0,
        }
    }

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + min(epoch / warmup, 1) * DKD."""
        beta = self.chosen("beta", pair, 8.0)
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {
                    "name": "dkd",
                    "alpha": self.alpha,
                    "beta": beta,
                    "warmup_epochs": self.warmup_epochs,
                },
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
        }


def dkd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    *,
    alpha: float = 1.0,
    beta: float = 8.0,
    temperature: float = 4.0,
) -> Tensor:
    """Return the mean DKD loss of logits `(B, C)` and labels `(B,)`, a scalar in nats."""
    tckd, nckd = decoupled_terms(student_logits / temperature, teacher_logits / temperature, labels)
    return temperature**2 * (alpha * tckd + beta * nckd).mean()


def decoupled_terms(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Return TCKD and NCKD, each `(B,)`, of softened logits `(B, C)` and labels `(B,)`."""
    student, teacher = log_softmax(student_logits), log_softmax(teacher_logits)
    student_rest, teacher_rest = without(student, labels), without(teacher, labels)  # (B, C-1)
    tckd = kl_divergence(
        _binary(teacher, teacher_rest, labels), _binary(student, student_rest, labels)
    )
    nckd = kl_divergence(log_softmax(teacher_rest), log_softmax(student_rest))
    return tckd, nckd


def _binary(log_probs: Tensor, rest: Tensor, labels: Tensor) -> Tensor:
    """Return (log q_y, log(1 - q_y)) of each row `(B, 2)`; the second never underflows."""
    target = log_probs.gather(1, labels.unsqueeze(1))
    return torch.cat([target, rest.logsumexp(-1, keepdim=True)], dim=1)
