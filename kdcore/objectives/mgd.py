"""Masked generative distillation (MGD): rebuild the teacher's map from a part of the student's.

Formula
    L = sum_{c,h,w} ( G( M * align(F_s) ) - F_t )^2
    G: 3x3 conv - ReLU - 3x3 conv; align: 1x1 conv where the channels differ, else nothing
    M = 0 with probability mask_ratio, else 1: for whole channels, or for places of all channels
Shapes
    maps (B, C, H, W), equal height and width in both networks; result (B,), a sum and no mean, so
    that the weight belongs to a size: mean-form weight = sum-form weight * C * H * W
Paper
    Yang, Li, Shao, Shi, Yuan, Yuan. Masked Generative Distillation. ECCV 2022. arXiv:2205.01529
Source
    yzd-v/MGD, cls/mmcls/distillation/losses/mgd.py, executed with the same weights and mask. The
    paper writes a spatial mask; the released code for classification drops whole channels and the
    code for dense tasks drops places: `mask` offers both, the default is the former. The squares
    are summed and divided by the batch, as there. What is kept is not scaled up by 1 / (1 -
    mask_ratio), as there. The mask is drawn by (seed, sample, view, place), so that it does not
    depend on the order of the batch.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.counters import uniform
from kdcore.errors import RecipeError
from kdcore.functional import widened
from kdcore.lazy import nn as modules
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import Layer, last_map
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Sizes

_STREAM = zlib.crc32(b"mgd")

Mask = Literal["channel", "spatial"]


class MGD(Objective):
    """Hide a part of the student's map, and rebuild the teacher's whole map from the rest."""

    name: Literal["mgd"] = "mgd"
    student_layer: Layer | None = None
    """Stage of the student that ends in a map; None is its last one."""
    teacher_layer: Layer | None = None
    """Stage of the teacher that ends in a map; None is its last one."""
    mask: Mask = "channel"
    """What is hidden together: a channel at all places, or a place in all channels."""
    mask_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Probability of each channel or place to be hidden."""

    convolves: ClassVar[bool] = True

    def taps(self, sizes: Sizes) -> Taps:
        """Read one map of each network.

        Raises:
            RecipeError: height and width differ, which nothing here can make up for.
        """
        ours = last_map(sizes.student, "student", self.student_layer)
        theirs = last_map(sizes.teacher, "teacher", self.teacher_layer)
        found, expected = sizes.student[ours], sizes.teacher[theirs]
        if found[1:] != expected[1:]:
            raise RecipeError(
                f"mgd: stage {ours!r} of the student has shape {found}, stage {theirs!r} of the "
                f"teacher {expected}; expected equal height and width",
                hint="name stages of equal resolution in student_layer and teacher_layer, or take "
                "an objective that pools, such as vid",
            )
        return Taps((ours,), (theirs,))

    def heads(self, sizes: Sizes) -> nn.Module:
        """Return the alignment and the generator."""
        taps = self.taps(sizes)
        ours, theirs = sizes.student[taps.student[0]][0], sizes.teacher[taps.teacher[0]][0]
        return modules.ModuleDict(
            {
                "align": modules.Identity() if ours == theirs else modules.Conv2d(ours, theirs, 1),
                "generator": modules.Sequential(
                    modules.Conv2d(theirs, theirs, 3, padding=1),
                    modules.ReLU(),
                    modules.Conv2d(theirs, theirs, 3, padding=1),
                ),
            }
        )

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        parts = cast("nn.ModuleDict", heads)
        aligned = parts["align"](seen.student.features[seen.taps.student[0]])  # (B, C, H, W)
        rebuilt = parts["generator"](aligned * self._mask(aligned, seen))
        return _distance(rebuilt, seen.teacher.features[seen.taps.teacher[0]])

    def _mask(self, aligned: Tensor, seen: Seen) -> Tensor:
        """Return 1 where something is kept and 0 where it is hidden, `(B, C, 1, 1)` or so."""
        _, channels, height, width = aligned.shape
        form = (channels, 1, 1) if self.mask == "channel" else (1, height, width)
        count = form[0] * form[1] * form[2]
        places = torch.arange(count, device=aligned.device)
        numbers = seen.batch.index[:, None] * count + places  # (B, count)
        drawn = uniform(seen.seed, _STREAM, numbers, seen.batch.view)
        return (drawn >= self.mask_ratio).to(aligned.dtype).view(-1, *form)


class MGDMethod(Method):
    """Labels and MGD on the last map, in the proportions of ImageNet classification."""

    name: Literal["mgd"] = "mgd"
    title: ClassVar[str] = "Masked generative distillation"
    alpha: Annotated[float, Field(ge=0, le=1e6)] = 7e-5
    """Factor of MGD, for a sum over 512 x 7 x 7 numbers; the authors' cls_KD has 1.2e-3 for
    CIFAR-100."""
    mask: Mask = "channel"
    """What is hidden together: a channel at all places, or a place in all channels."""
    mask_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Probability of each channel or place to be hidden."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + alpha * MGD."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {
                    "name": "mgd",
                    "weight": self.alpha,
                    "mask": self.mask,
                    "mask_ratio": self.mask_ratio,
                },
            ]
        }


def mgd_loss(rebuilt: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean MGD loss of what was rebuilt and the teacher's maps `(B, C, H, W)`, `()`."""
    return _distance(rebuilt, teacher).mean()


def _distance(rebuilt: Tensor, teacher: Tensor) -> Tensor:
    return (widened(rebuilt) - widened(teacher)).square().sum((1, 2, 3))  # (B,)
