"""Variational information distillation (VID): predict the teacher's maps, and how well one can.

Formula
    L = sum over pairs of mean_{c,h,w} 1/2 [ (mu(F_s) - F_t)^2 / sigma_c^2 + log sigma_c^2 ]
    mu: 1x1 conv - ReLU - 1x1 conv - ReLU - 1x1 conv, C_t channels wide, no biases
    sigma_c^2 = softplus(a_c) + 1e-5, learned by channel, 5 in the beginning
Shapes
    maps (B, C, H, W), the larger of a pair pooled to the smaller's height and width; result (B,) in
    nats. At a perfect prediction it is log(sigma^2) / 2, 0.8047 in the beginning; below 0 is usual.
Paper
    Ahn, Hu, Damianou, Lawrence, Dai. Variational Information Distillation for Knowledge Transfer.
    CVPR 2019. arXiv:1904.05835
Source
    HobbitLong/RepDistiller, distiller_zoo/VID.py (from the authors' ssahn0215), and its pairs: the
    output of every stage between stem and pooling, added up, with factor 1. megvii-research/
    mdistiller, mdistiller/distillers/VID.py keeps the a_c in a list that no optimiser sees, so that
    the variances stay at 5; here they are trained, as in the paper.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.functional import pooled, widened
from kdcore.lazy import F, torch
from kdcore.lazy import nn as modules
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import Layers, map_pairs
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Sizes

_FLOOR = 1e-5
"""Added to the variance: no channel can be believed without limit."""


class VID(Objective):
    """Predict the teacher's maps from the student's, with a variance learned for each channel."""

    name: Literal["vid"] = "vid"
    layers: Layers | None = None
    """Pairs of stages [student's, teacher's] that end in maps; None takes the last ones in order,
    as many as both networks have."""
    initial_variance: Annotated[float, Field(ge=0.001, le=1000)] = 5.0
    """The variance sigma^2 of every channel in the beginning, in squared units of the maps."""

    def taps(self, sizes: Sizes) -> Taps:
        """Read the maps of every pair."""
        pairs = map_pairs(sizes.student, sizes.teacher, self.layers)
        return Taps(tuple(ours for ours, _ in pairs), tuple(theirs for _, theirs in pairs))

    def heads(self, sizes: Sizes) -> nn.Module:
        """Return one regressor a pair; its parameter `spread` holds the a_c."""
        taps = self.taps(sizes)
        return modules.ModuleList(
            self._regressor(sizes.student[ours][0], sizes.teacher[theirs][0])
            for ours, theirs in zip(taps.student, taps.teacher, strict=True)
        )

    def _regressor(self, channels: int, target: int) -> nn.Sequential:
        regressor = modules.Sequential(
            modules.Conv2d(channels, target, 1, bias=False),
            modules.ReLU(),
            modules.Conv2d(target, target, 1, bias=False),
            modules.ReLU(),
            modules.Conv2d(target, target, 1, bias=False),
        )
        spread = torch.full((target,), math.log(math.expm1(self.initial_variance - _FLOOR)))
        regressor.register_parameter("spread", modules.Parameter(spread))
        return regressor

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        terms = [
            _term(regressor, seen.student.features[ours], seen.teacher.features[theirs])
            for regressor, ours, theirs in zip(
                cast("nn.ModuleList", heads), seen.taps.student, seen.taps.teacher, strict=True
            )
        ]
        return torch.stack(terms).sum(0)


class VIDMethod(Method):
    """Labels and VID on every stage, both with full weight."""

    name: Literal["vid"] = "vid"
    title: ClassVar[str] = "Variational information distillation"
    weight: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Factor of VID beside the labels' 1."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + weight * VID."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {"name": "vid", "weight": self.weight},
            ]
        }


def vid_loss(predicted: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    """Return the mean VID loss of maps `(B, C, H, W)` and variances `(C,)`, a scalar in nats."""
    return _likelihood(predicted, target, variance).mean()


def _term(regressor: nn.Module, ours: Tensor, theirs: Tensor) -> Tensor:
    """Return one pair's loss `(B,)`."""
    size = (min(ours.shape[2], theirs.shape[2]), min(ours.shape[3], theirs.shape[3]))
    predicted = widened(regressor(pooled(ours, size)))
    variance = F.softplus(widened(regressor.get_parameter("spread"))) + _FLOOR
    return _likelihood(predicted, widened(pooled(theirs, size)), variance)


def _likelihood(predicted: Tensor, target: Tensor, variance: Tensor) -> Tensor:
    """Return the negative log-likelihood `(B,)`, less log(2 pi) / 2, per number of the map."""
    variance = variance[:, None, None]  # (C, 1, 1)
    return ((predicted - target).square() / variance + variance.log()).mean((1, 2, 3)) / 2
