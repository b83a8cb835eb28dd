"""Knowledge distillation (KD): match the teacher's softened distribution.

Formula
    L = T^2 * KL( softmax(z_t / T) || softmax(z_s / T) )
Shapes
    student, teacher logits (B, C); result (B,) in nats; 0 where the rows differ by a constant
Paper
    Hinton, Vinyals, Dean. Distilling the Knowledge in a Neural Network. 2015. arXiv:1503.02531
Source
    HobbitLong/RepDistiller, distiller_zoo/KD.py; megvii-research/mdistiller,
    mdistiller/distillers/KD.py. The sum over classes and the mean over the batch, as there
    ("batchmean"); torch's default mean would make the term C times weaker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.functional import kl_divergence, log_softmax
from kdcore.method import Method, Pair
from kdcore.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class KD(Objective):
    """Match the teacher's softened distribution."""

    name: Literal["kd"] = "kd"

    softens: ClassVar[bool] = True

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        divergence = kl_divergence(
            log_softmax(softened.teacher_logits), log_softmax(softened.student_logits)
        )
        return softened.scale * divergence


class KDMethod(Method):
    """Labels and the teacher's softened answers together, in the usual CIFAR proportions."""

    name: Literal["kd"] = "kd"
    title: ClassVar[str] = "Knowledge distillation"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of the teacher in the loss; the labels have the rest."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """Softening temperature T of both networks."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """(1 - alpha) CE + alpha T^2 KL."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": round(1 - self.alpha, 12)},
                {"name": "kd", "weight": self.alpha},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
        }


def kd_loss(student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 4.0) -> Tensor:
    """Return the mean KD loss of logits `(B, C)`, a scalar in nats."""
    divergence = kl_divergence(
        log_softmax(teacher_logits / temperature), log_softmax(student_logits / temperature)
    )
    return temperature**2 * divergence.mean()
