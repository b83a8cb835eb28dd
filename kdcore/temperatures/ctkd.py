"""Curriculum temperature (CTKD): a temperature that is learned against the student.

Formula
    tau = tau_min + tau_range * sigmoid(x);  z / tau for both networks, the loss scaled by tau^2
    The student descends on the loss, x ascends: the gradient to x is multiplied by -lambda, with
    lambda = (1 - cos(pi * min(E, epochs) / epochs)) / 2, 0 to 1; E is the epoch counted from 1
Shapes
    logits (B, C) -> (B, C). scope global: x is one number, scale (). scope instance: x is a
    number a sample, of a perceptron on both networks' logits (B, 2C); scale (B,)
Paper
    Li, Li, Yang, Zhao, Song, Luo, Li, Yang. Curriculum Temperature for Knowledge Distillation.
    AAAI 2023. arXiv:2211.16231
Source
    zhengli97/CTKD, models/temp_global.py, helper/loops.py, train_student.py (CosineDecay),
    distiller_zoo/KD.py, scripts/run_cifar_distill.sh: tau_min 1 and tau_range 20 (there t_start and
    t_end, though the upper end is 21), x from 1, 10 epochs (5 on ImageNet), .1 CE + .9 KD (1 and 1
    on ImageNet). Their lambda runs from 0 to -1 and multiplies; the paper's runs from 0 to 1 behind
    a minus sign. That is one sign in all, as here. The gradient to x goes through both softmaxes
    and tau^2. x is trained by the student's optimiser, weight decay included, as theirs is; the
    epochs are counted from 1 (E = epoch + 1), as there, so the first one has lambda .0245 already.
    The perceptron of scope instance is not in the repository: two layers as in the paper, width
    and start are ours. It is fed detached logits, so that the student is not pulled through it to
    make its own temperature harder, and starts with every sample at `initial`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.functional import widened
from kdcore.lazy import nn as layers
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.temperature import Softened, Temperature

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.tensors import Seen, Sizes

Scope = Literal["global", "instance"]


class CTKD(Temperature):
    """A temperature that learns to make the task harder, gently at first."""

    name: Literal["ctkd"] = "ctkd"
    scope: Scope = "global"
    """One temperature for all samples, or one for each, predicted from both networks' logits."""
    tau_min: Annotated[float, Field(ge=0.001, le=1000)] = 1.0
    """Lower end of the temperature."""
    tau_range: Annotated[float, Field(gt=0, le=1000)] = 20.0
    """Upper end less lower end."""
    initial: Annotated[float, Field(ge=-50, le=50)] = 1.0
    """What is learned, at the start, before the sigmoid: 1 is a temperature of 15.62."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Epochs over which the reversed gradient grows to its full strength."""
    hidden: Annotated[int, Field(ge=1, le=65_536)] = 128
    """Width of the perceptron of scope instance."""

    def heads(self, sizes: Sizes) -> nn.Module:
        """Return what the temperature is made of."""
        if self.scope == "global":
            return layers.ParameterDict({"x": layers.Parameter(torch.tensor(self.initial))})
        last = layers.Linear(self.hidden, 1)
        layers.init.zeros_(last.weight)
        layers.init.constant_(last.bias, self.initial)
        return layers.Sequential(
            layers.Linear(2 * sizes.num_classes, self.hidden), layers.ReLU(), last
        )

    def soften(self, seen: Seen, heads: nn.Module | None) -> Softened:
        """Divide both networks' logits by what is learned against them."""
        assert heads is not None  # noqa: S101  # it has made them itself
        student, teacher = widened(seen.student.logits), widened(seen.teacher.logits)
        parameter = next(heads.parameters())
        if self.scope == "instance":
            fed = torch.cat([teacher, student.detach()], dim=1).to(parameter.dtype)
            learned = heads(fed)  # (B, 1)
        else:
            learned = parameter  # ()
        tau = curriculum_temperature(
            widened(learned),
            strength=reversal(seen.epoch + 1, self.epochs),
            tau_min=self.tau_min,
            tau_range=self.tau_range,
        )
        scale = tau**2
        return Softened(student / tau, teacher / tau, scale.squeeze(-1) if scale.dim() else scale)


class CTKDMethod(Method):
    """Labels and the teacher's answers, softened by a temperature that learns to resist."""

    name: Literal["ctkd"] = "ctkd"
    title: ClassVar[str] = "Curriculum temperature"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of the teacher in the loss; the labels have the rest."""
    scope: Scope = "global"
    """One temperature for all samples, or one for each."""
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Epochs over which the reversed gradient grows to its full strength; 5 on ImageNet."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """(1 - alpha) CE + alpha tau^2 KL."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": round(1 - self.alpha, 12)},
                {"name": "kd", "weight": self.alpha},
            ],
            "temperature": {"name": "ctkd", "scope": self.scope, "epochs": self.epochs},
        }


def reversal(epoch: int, epochs: int = 10) -> float:
    """Return lambda of an epoch counted from 1: from 0 at 0 to 1 at `epochs`, and 1 after it."""
    return (1 - math.cos(math.pi * min(epoch, epochs) / epochs)) / 2


def curriculum_temperature(
    learned: Tensor, *, strength: float, tau_min: float = 1.0, tau_range: float = 20.0
) -> Tensor:
    """Return the temperature, shape kept; its gradient to `learned` is times -strength."""
    turned = (1 + strength) * learned.detach() - strength * learned  # the one minus sign
    return tau_min + tau_range * torch.sigmoid(turned)
