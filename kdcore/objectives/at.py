"""Attention transfer (AT): look at the same places as the teacher.

Formula
    L = sum over pairs of mean_{hw} ( Q(F_s) - Q(F_t) )^2
    Q(F) = a / ||a||_2,  a = vec( mean_c |F_c|^p )
Shapes
    maps (B, C, H, W), the larger of a pair pooled to the smaller's height and width; channels may
    differ; result (B,), at most 2 / (H W) a pair; 0 where attention is in the same proportions. A
    map of nothing but zeros has an attention of zeros.
Paper
    Zagoruyko, Komodakis. Paying More Attention to Attention: Improving the Performance of
    Convolutional Neural Networks via Attention Transfer. ICLR 2017. arXiv:1612.03928
Source
    szagoruyko/attention-transfer, utils.py; HobbitLong/RepDistiller, distiller_zoo/AT.py;
    megvii-research/mdistiller, mdistiller/distillers/AT.py. The paper writes the plain norm of
    Q_s - Q_t with a factor beta / 2; every code, the authors' too, has the mean of the squares,
    and the usual factor 1000 belongs to it; so does this. Maps are paired from the last one
    backwards, where the code pairs from the first one on: equal for equal numbers of maps. An odd
    p takes |F|, as the paper does and the code does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.functional import pooled, widened
from kdcore.lazy import F, torch
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import Layers, map_pairs
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Sizes


class AT(Objective):
    """Match where the networks' maps are large, whatever the channels."""

    name: Literal["at"] = "at"
    layers: Layers | None = None
    """Pairs of stages [student's, teacher's] that end in maps; None takes the last ones in order,
    as many as both networks have."""
    power: Annotated[int, Field(ge=1, le=8)] = 2
    """Power p of the activations; a larger one looks at the peaks."""

    def taps(self, sizes: Sizes) -> Taps:
        """Read the maps of every pair."""
        pairs = map_pairs(sizes.student, sizes.teacher, self.layers)
        return Taps(tuple(ours for ours, _ in pairs), tuple(theirs for _, theirs in pairs))

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        terms = [
            _distance(seen.student.features[ours], seen.teacher.features[theirs], self.power)
            for ours, theirs in zip(seen.taps.student, seen.taps.teacher, strict=True)
        ]
        return torch.stack(terms).sum(0)


class ATMethod(Method):
    """Labels and the attention of every stage."""

    name: Literal["at"] = "at"
    title: ClassVar[str] = "Attention transfer"
    weight: Annotated[float, Field(ge=0, le=1e6)] = 1000.0
    """Factor of AT beside the labels' 1."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + weight * AT."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {"name": "at", "weight": self.weight},
            ]
        }


def at_loss(student: Tensor, teacher: Tensor, *, power: int = 2) -> Tensor:
    """Return the mean AT loss of one pair of maps `(B, C, H, W)`, a scalar."""
    return _distance(student, teacher, power).mean()


def _distance(student: Tensor, teacher: Tensor, power: int) -> Tensor:
    """Return one pair's loss `(B,)`."""
    size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    ours, theirs = _attention(student, size, power), _attention(teacher, size, power)
    return (ours - theirs).square().mean(1)


def _attention(maps: Tensor, size: tuple[int, int], power: int) -> Tensor:
    """Return Q `(B, HW)` of maps, pooled to `size`."""
    return F.normalize(pooled(widened(maps), size).abs().pow(power).mean(1).flatten(1))
