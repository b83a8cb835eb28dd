"""Distillation from a stronger teacher (DIST): match relations, not values.

Formula
    L = T^2 * ( beta * L_inter + gamma * L_intra ),  Y = softmax(z / T)
    L_inter = 1 - mean_i rho(Y_s[i, :], Y_t[i, :]);  L_intra = 1 - mean_j rho(Y_s[:, j], Y_t[:, j])
    rho is Pearson's correlation. With one temperature a sample, T^2 of a sample stands before its
    own row, and the mean of T^2 before the columns.
Shapes
    student, teacher logits (B, C); result (), each relation between 0 and 2, no unit; 0 at
    z_s = z_t. Samples are coupled by the columns: the loss of a batch is not the mean over its
    parts. Two classes say of a row, and two samples of a column, only which one is larger.
Paper
    Huang, You, Wang, Qian, Xu. Knowledge Distillation from A Stronger Teacher. NeurIPS 2022.
    arXiv:2205.10536
Source
    hunto/image_classification_sota, lib/models/losses/dist_kd.py (the classification code of
    hunto/DIST_KD) and configs/strategies/distill: weight 2 beside the cross-entropy, T = 4 on
    CIFAR-100 and 1 on ImageNet. T^2 is theirs; the paper's formula has none. They add 1e-8 to the
    product of the norms, so that a column of tiny probabilities counts as unrelated even where the
    networks agree (C = 1000, B = 32, a sharp teacher: 0.68 at equality). Here each row and column
    is measured in units of its largest probability, taken from the logarithms, so correlation is
    exact at every magnitude and agreement costs exactly 0. What does not vary beyond rounding has
    no correlation: two such count as 1, one beside another that varies as 0, without gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.functional import log_softmax
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen

_ROUNDING = 16  # a standard deviation of so many machine epsilons of the largest value is none


class DIST(Objective):
    """Match how classes relate within a sample, and how samples relate within a class."""

    name: Literal["dist"] = "dist"
    beta: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Factor of the relation between the classes of a sample (inter-class)."""
    gamma: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Factor of the relation between the samples in a class (intra-class)."""

    softens: ClassVar[bool] = True
    couples_samples: ClassVar[bool] = True
    smallest_batch: ClassVar[int] = 2

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        inter, intra = relations(softened.student_logits, softened.teacher_logits)
        return (softened.scale * (self.beta * inter + self.gamma * intra)).mean()


class DISTMethod(Method):
    """Labels with full weight, and both relations with twice that; T is CIFAR-100's."""

    name: Literal["dist"] = "dist"
    title: ClassVar[str] = "Distillation from a stronger teacher"
    weight: Annotated[float, Field(ge=0, le=1e6)] = 2.0
    """Factor of the relations; the labels have 1."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """Softening temperature T of both networks: 4 on CIFAR-100, 1 on ImageNet."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + weight * T^2 (L_inter + L_intra)."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {"name": "dist", "weight": self.weight},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
        }


def dist_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    beta: float = 1.0,
    gamma: float = 1.0,
    temperature: float = 4.0,
) -> Tensor:
    """Return the DIST loss of logits `(B, C)`, a scalar."""
    inter, intra = relations(student_logits / temperature, teacher_logits / temperature)
    return temperature**2 * (beta * inter.mean() + gamma * intra)


def relations(student_logits: Tensor, teacher_logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 - rho of each row `(B,)`, and its mean over the columns `()`; logits softened."""
    student, teacher = log_softmax(student_logits), log_softmax(teacher_logits)
    return 1 - _correlation(student, teacher), 1 - _correlation(student.T, teacher.T).mean()


def _correlation(student: Tensor, teacher: Tensor) -> Tensor:
    """Return Pearson's correlation `(N,)` of rows `(N, K)`, given by their logarithms."""
    (ours, our_power, we_vary), (theirs, their_power, they_vary) = map(_varying, (student, teacher))
    # The root of a square is exact, so rows that are equal have a correlation of exactly 1.
    correlation = (ours * theirs).sum(-1) / (our_power * their_power).sqrt()
    alike = (~we_vary & ~they_vary).to(correlation.dtype)
    return torch.where(we_vary & they_vary, correlation, alike)


def _varying(logs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return rows less their mean, the sum of their squares (1 for a flat one), and which vary."""
    values = (logs - logs.amax(-1, keepdim=True).detach()).exp()  # the largest is 1
    centred = values - values.mean(-1, keepdim=True)
    power = centred.square().sum(-1)
    varies = power > logs.shape[-1] * (_ROUNDING * torch.finfo(logs.dtype).eps) ** 2
    return centred, torch.where(varies, power, torch.ones_like(power)), varies
