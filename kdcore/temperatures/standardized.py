"""Logit standardisation: compare the shape of the logits, not their size.

Formula
    Z(z) / tau with Z(z) = (z - mean(z)) / std(z) over the classes of a row; the loss is scaled by
    tau^2
Shapes
    logits (B, C) -> (B, C); |Z| <= sqrt(C - 1). A row whose standard deviation is 1e-7 or less is
    centred and left as small as it is. Gradients flow through the student's mean and deviation.
Paper
    Sun, Ren, Li, Wang, Cao. Logit Standardization in Knowledge Distillation. CVPR 2024.
    arXiv:2403.01427
Source
    sunshangquan/logit-standardization-KD, mdistiller/distillers/KD.py, and the logs of its README
    (KD weight 9, CE weight .1, tau 2; others by pair). The paper divides by the standard deviation
    of a population (1/C); the code by that of a sample (1/(C-1)), which is the same at
    tau * sqrt(C / (C - 1)), and adds 1e-7 to it. Here the paper's, the code's by `unbiased`;
    without the 1e-7, so that the loss ignores the size of the logits exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.functional import widened
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.temperature import Softened, Temperature

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.tensors import Seen

_FLAT = 1e-14  # a variance that is none: the square of the released code's 1e-7


class Standardized(Temperature):
    """Both networks' logits as deviations from their mean, in units of their own spread."""

    name: Literal["standardized"] = "standardized"
    value: Annotated[float, Field(ge=0.001, le=1000)] = 2.0
    """Base temperature tau, after the standardisation."""
    unbiased: bool = False
    """Divide by the standard deviation of a sample, as the released code does."""

    tasks: ClassVar[frozenset[str] | None] = frozenset({"classification"})

    def soften(self, seen: Seen, heads: nn.Module | None) -> Softened:
        """Standardise the logits of each network by itself."""
        return Softened(
            standardize(seen.student.logits, unbiased=self.unbiased) / self.value,
            standardize(seen.teacher.logits, unbiased=self.unbiased) / self.value,
            scale=self.value**2,
        )


class LSKDMethod(Method):
    """Labels with a tenth, and the teacher's standardised answers with nine times full weight."""

    name: Literal["ls_kd"] = "ls_kd"
    title: ClassVar[str] = "Logit standardisation"
    weight: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Factor of the teacher's term; 9, or what the released logs have for the pair."""
    labels: Annotated[float, Field(ge=0, le=1e6)] = 0.1
    """Factor of the labels' cross-entropy."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] | None = None
    """Base temperature tau; 2, or what the released logs have for the pair."""

    by_pair: ClassVar[dict[str, dict[Pair, float]]] = {
        "weight": {
            Pair("resnet110", "resnet20"): 12.0,
            Pair("resnet50", "mobilenet_v2"): 1.0,
        },
        "temperature": {
            Pair("resnet110", "resnet20"): 4.0,
            Pair("vgg13", "vgg8"): 3.0,
            Pair("vgg13", "mobilenet_v2"): 3.0,
            Pair("resnet50", "mobilenet_v2"): 3.0,
            Pair("resnet32x4", "wrn_16_2"): 3.0,
            Pair("resnet32x4", "wrn_40_2"): 3.0,
            Pair("wrn_40_2", "mobilenet_v2"): 3.0,
        },
    }

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """.1 CE + weight * tau^2 KL of standardised logits."""
        weight = self.chosen("weight", pair, 9.0)
        tau = self.chosen("temperature", pair, 2.0)
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": self.labels},
                {"name": "kd", "weight": weight},
            ],
            "temperature": {"name": "standardized", "value": tau},
        }


def standardize(logits: Tensor, *, unbiased: bool = False) -> Tensor:
    """Return logits `(B, C)` less each row's mean, over its standard deviation; at least float32.

    `unbiased` takes the standard deviation with 1/(C-1) in place of 1/C.
    """
    wide = widened(logits)
    variance, mean = torch.var_mean(wide, dim=-1, correction=int(unbiased), keepdim=True)
    # Chosen before the root: its slope at 0 is infinite.
    return (wide - mean) / torch.where(variance > _FLAT, variance, 1).sqrt()
