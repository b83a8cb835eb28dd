"""Neuron selectivity transfer (NST): channels that answer to the same places.

Formula
    L = sum over pairs of mean_{ij} k(t_i, t_j) + mean_{ij} k(s_i, s_j) - 2 mean_{ij} k(s_i, t_j)
    k(x, y) = (x . y)^2;  s_i = F_i / ||F_i||_2, a channel as a vector over the H W places
Shapes
    maps (B, C, H, W), the larger of a pair pooled to the smaller's height and width; channels may
    differ; result (B,): the squared maximum mean discrepancy, in [0, 2] a pair; 0 where the
    channels are the same up to order and positive factors. A channel of nothing but zeros has k = 0
    with all.
Paper
    Huang, Wang. Like What You Like: Knowledge Distill via Neuron Selectivity Transfer. 2017.
    arXiv:1707.01219
Source
    HobbitLong/RepDistiller, distiller_zoo/NST.py; megvii-research/mdistiller,
    mdistiller/distillers/NST.py: the paper's polynomial kernel with d = 2, c = 0 and its factor 50.
    Maps are paired from the last one backwards, there from the first one on: equal for equal
    numbers of maps. Products are taken by matrix multiplication, in memory of B C^2 numbers where
    that code has B C^2 H W.
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


class NST(Objective):
    """Match the distribution of the channels' maps, by their maximum mean discrepancy."""

    name: Literal["nst"] = "nst"
    layers: Layers | None = None
    """Pairs of stages [student's, teacher's] that end in maps; None takes the last ones in order,
    as many as both networks have."""

    def taps(self, sizes: Sizes) -> Taps:
        """Read the maps of every pair."""
        pairs = map_pairs(sizes.student, sizes.teacher, self.layers)
        return Taps(tuple(ours for ours, _ in pairs), tuple(theirs for _, theirs in pairs))

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        terms = [
            _discrepancy(seen.student.features[ours], seen.teacher.features[theirs])
            for ours, theirs in zip(seen.taps.student, seen.taps.teacher, strict=True)
        ]
        return torch.stack(terms).sum(0)


class NSTMethod(Method):
    """Labels and the selectivity of every stage."""

    name: Literal["nst"] = "nst"
    title: ClassVar[str] = "Neuron selectivity transfer"
    weight: Annotated[float, Field(ge=0, le=1e6)] = 50.0
    """Factor of NST beside the labels' 1."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + weight * NST."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {"name": "nst", "weight": self.weight},
            ]
        }


def nst_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean NST loss of one pair of maps `(B, C, H, W)`, a scalar."""
    return _discrepancy(student, teacher).mean()


def _discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    """Return one pair's loss `(B,)`."""
    size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    ours, theirs = _selectivity(student, size), _selectivity(teacher, size)
    return _kernel(theirs, theirs) + _kernel(ours, ours) - 2 * _kernel(ours, theirs)


def _selectivity(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return unit vectors `(B, C, HW)` of maps, pooled to `size`."""
    return F.normalize(pooled(widened(maps), size).flatten(2), dim=2)


def _kernel(ones: Tensor, others: Tensor) -> Tensor:
    """Return the mean of k over all pairs of channels, `(B,)`."""
    return torch.bmm(ones, others.mT).square().mean((1, 2))
