"""Knowledge review (ReviewKD): the teacher's early stages are taught to the student's deep ones.

Formula
    from the deepest level to the first:  x = BN(conv1x1(F_s))  to `middle` channels
        x <- x * g_1 + up(previous x) * g_2,  (g_1, g_2) = sigmoid(conv1x1([x, up(previous x)]))
        L += HCL( BN(conv3x3(x)), F_t )
    HCL(A, B) = sum_l w_l * mean( (pool_l(A) - pool_l(B))^2 ) / sum_l w_l
    l: the full size, then pooled to 4x4, 2x2, 1x1, each only if smaller; w = 1, 1/2, 1/4, 1/8
Shapes
    maps (B, C, H, W) of any sizes, brought to the teacher's by the nearest neighbour; an embedding
    (B, D) is a map of one place, and the deepest level; result (B,)
Paper
    Chen, Liu, Zhao, Jia. Distilling Knowledge via Knowledge Review. CVPR 2021. arXiv:2104.09044
Source
    dvlab-research/ReviewKD, CIFAR-100/model/reviewkd.py and CIFAR-100/script/reviewKD.sh;
    megvii-research/mdistiller, mdistiller/distillers/ReviewKD.py, executed with the same weights.
    The official script counts epochs from 0 for the warm-up, so that the first one has no
    distillation; mdistiller counts from 1, and so do we. Both compare with the teacher's maps
    before the last ReLU of a stage; our stages end after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.errors import RecipeError
from kdcore.functional import pooled, widened
from kdcore.lazy import F, torch
from kdcore.lazy import nn as modules
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import Layers, embedding, map_pairs, named
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Shapes, Sizes

_POOLED = (4, 2, 1)
_FORMS = (1, 3)  # of a sample: a vector, or channels, height, width


class ReviewKD(Objective):
    """Fuse the student's stages from deep to shallow, and compare each fusion with the teacher."""

    name: Literal["reviewkd"] = "reviewkd"
    layers: Layers | None = None
    """Pairs of stages [student's, teacher's], shallow ones first, that end in maps or vectors; None
    takes the last maps in order, as many as both networks have, and the embeddings."""
    middle: Annotated[int, Field(ge=1, le=8192)] = 512
    """Channels of what is handed from level to level; at most the student's at the deepest."""

    convolves: ClassVar[bool] = True
    smallest_batch: ClassVar[int] = 2  # batch normalisation of a map of one place

    def taps(self, sizes: Sizes) -> Taps:
        """Read the outputs of every level, shallow ones first.

        Raises:
            RecipeError: a network has no maps, or a stage is missing or no map or vector.
        """
        if self.layers is None:
            pairs = [
                *map_pairs(sizes.student, sizes.teacher),
                (embedding(sizes.student, "student"), embedding(sizes.teacher, "teacher")),
            ]
        else:
            pairs = [
                (_level(ours, sizes.student, "student"), _level(theirs, sizes.teacher, "teacher"))
                for ours, theirs in self.layers
            ]
        return Taps(tuple(ours for ours, _ in pairs), tuple(theirs for _, theirs in pairs))

    def heads(self, sizes: Sizes) -> nn.Module:
        """Return the fusion of every level, shallow ones first."""
        taps = self.taps(sizes)
        ours = [sizes.student[name][0] for name in taps.student]
        theirs = [sizes.teacher[name][0] for name in taps.teacher]
        middle = min(self.middle, ours[-1])
        levels = [_fusion(a, middle, b) for a, b in zip(ours, theirs, strict=True)]
        del levels[-1]["attention"]  # nothing is deeper
        return modules.ModuleList(levels)

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        teacher = [_map(seen.teacher.features[name]) for name in seen.taps.teacher]
        student = [_map(seen.student.features[name]) for name in seen.taps.student]
        fused = _fused(cast("nn.ModuleList", heads), student, teacher)
        return _sum_of_levels(fused, teacher)


class ReviewKDMethod(Method):
    """Labels with full weight, and ReviewKD warmed up over the first epochs."""

    name: Literal["reviewkd"] = "reviewkd"
    title: ClassVar[str] = "Knowledge review"
    by_pair: ClassVar[Mapping[str, Mapping[Pair, float]]] = {
        "weight": {
            Pair("wrn_40_2", "wrn_16_2"): 5.0,
            Pair("wrn_40_2", "wrn_40_1"): 5.0,
            Pair("wrn_40_2", "shufflenet_v1"): 5.0,
            Pair("resnet32x4", "resnet8x4"): 5.0,
            Pair("resnet32x4", "shufflenet_v1"): 5.0,
            Pair("resnet32x4", "shufflenet_v2"): 8.0,
            Pair("resnet56", "resnet20"): 0.6,
            Pair("resnet110", "resnet32"): 1.0,
        }
    }
    weight: Annotated[float, Field(ge=0, le=1e6)] | None = None
    """Factor of ReviewKD; None takes the paper's for this pair, or 1."""
    warmup_epochs: Annotated[float, Field(ge=0, le=10_000)] = 20.0
    """Epochs over which ReviewKD grows to full strength, counted from 1."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + min(epoch / warmup, 1) * weight * ReviewKD."""
        weight = self.chosen("weight", pair, 1.0)
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {"name": "reviewkd", "weight": weight, "warmup_epochs": self.warmup_epochs},
            ]
        }


def reviewkd_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Return the mean loss of fused and teacher's maps, level by level, `(B, C, H, W)` each, `()`.

    It is the sum of HCL over the levels; of one level, HCL itself.
    """
    return _sum_of_levels(student, teacher).mean()


def _sum_of_levels(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    levels = [_context(ours, theirs) for ours, theirs in zip(student, teacher, strict=True)]
    return torch.stack(levels).sum(0)  # (B,)


def _context(student: Tensor, teacher: Tensor) -> Tensor:
    """Return HCL of one level `(B,)`; pooling is linear, so the difference is pooled."""
    difference = widened(student) - widened(teacher)
    side = min(difference.shape[2:])
    total, weights, weight = difference.square().mean((1, 2, 3)), 1.0, 1.0
    for size in _POOLED:
        if size < side:
            weight /= 2
            total = total + weight * pooled(difference, (size, size)).square().mean((1, 2, 3))
            weights += weight
    return total / weights


def _fused(
    levels: nn.ModuleList, student: Sequence[Tensor], teacher: Sequence[Tensor]
) -> list[Tensor]:
    """Return what each level says of the teacher's maps, in their shapes, shallow ones first."""
    results: list[Tensor] = []
    previous: Tensor | None = None
    for level, ours, theirs in reversed(list(zip(levels, student, teacher, strict=True))):
        parts = cast("nn.ModuleDict", level)
        fused = cast("Tensor", parts["narrow"](ours))  # (B, middle, H, W)
        if previous is not None:
            above = _resized(previous, fused)
            gates = parts["attention"](torch.cat([fused, above], 1))  # (B, 2, H, W)
            fused = fused * gates[:, :1] + above * gates[:, 1:]
        previous = _resized(fused, theirs)
        results.append(parts["widen"](previous))
    return results[::-1]


def _resized(features: Tensor, like: Tensor) -> Tensor:
    size = like.shape[2:]
    if features.shape[2:] == size:
        return features
    return F.interpolate(features, size=list(size), mode="nearest")


def _map(features: Tensor) -> Tensor:
    return features if features.dim() > _FORMS[0] + 1 else features[:, :, None, None]


def _fusion(channels: int, middle: int, target: int) -> nn.ModuleDict:
    parts = modules.ModuleDict(
        {
            "narrow": modules.Sequential(
                modules.Conv2d(channels, middle, 1, bias=False), modules.BatchNorm2d(middle)
            ),
            "attention": modules.Sequential(modules.Conv2d(2 * middle, 2, 1), modules.Sigmoid()),
            "widen": modules.Sequential(
                modules.Conv2d(middle, target, 3, padding=1, bias=False),
                modules.BatchNorm2d(target),
            ),
        }
    )
    for name in ("narrow", "widen"):
        modules.init.kaiming_uniform_(parts.get_parameter(f"{name}.0.weight"), a=1)
    return parts


def _level(layer: str, shapes: Shapes, whose: str) -> str:
    if len(shapes[named(layer, shapes, whose)]) not in _FORMS:
        raise RecipeError(
            f"stage {layer!r} of the {whose} has shape {shapes[layer]}; expected a map "
            "(channels, height, width) or a vector",
            hint="name a stage that ends in one",
        )
    return layer
