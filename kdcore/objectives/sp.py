"""Similarity-preserving distillation (SP): samples that are alike stay alike.

Formula
    L = || G_s - G_t ||_F^2 / B^2
    G = A with each row divided by its L2 norm,  A = X X^T,  X a row of features a sample
Shapes
    maps (B, C, H, W) or vectors (B, D), flattened; sizes of the networks may differ; result (), at
    most 4 / B; 0 where all similarities are in the same proportions. A sample of nothing but zeros
    has a row of zeros.
Paper
    Tung, Mori. Similarity-Preserving Knowledge Distillation. ICCV 2019. arXiv:1907.09682
Source
    HobbitLong/RepDistiller, distiller_zoo/SP.py ("verified by original author");
    megvii-research/mdistiller, mdistiller/distillers/SP.py: the last map, factor 3000. A row of
    zeros is divided by 1 here and by 1e-12 there, which makes the gradient 1e12 times larger at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.errors import RecipeError
from kdcore.functional import widened
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import Layer, embedding, last_map, named
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Shapes, Sizes


class SP(Objective):
    """Match how alike the samples of a batch are."""

    name: Literal["sp"] = "sp"
    student_layer: Layer | None = None
    """Any stage of the student; None is its last map, or what its head is given if it has none."""
    teacher_layer: Layer | None = None
    """Any stage of the teacher; None is its last map, or what its head is given if it has none."""

    couples_samples: ClassVar[bool] = True
    smallest_batch: ClassVar[int] = 2

    def taps(self, sizes: Sizes) -> Taps:
        """Read one stage of each network."""
        ours = _stage(sizes.student, "student", self.student_layer)
        theirs = _stage(sizes.teacher, "teacher", self.teacher_layer)
        return Taps((ours,), (theirs,))

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        return sp_loss(
            seen.student.features[seen.taps.student[0]],
            seen.teacher.features[seen.taps.teacher[0]],
        )


class SPMethod(Method):
    """Labels and the similarities of the last map."""

    name: Literal["sp"] = "sp"
    title: ClassVar[str] = "Similarity-preserving distillation"
    weight: Annotated[float, Field(ge=0, le=1e6)] = 3000.0
    """Factor of SP beside the labels' 1."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + weight * SP."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {"name": "sp", "weight": self.weight},
            ]
        }


def sp_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the SP loss of features `(B, ...)` of any size, a scalar."""
    return (_similarities(student) - _similarities(teacher)).square().mean()


def _similarities(features: Tensor) -> Tensor:
    """Return G `(B, B)`."""
    rows = widened(features).flatten(1)  # (B, D)
    alike = rows @ rows.T
    # Its gradient at 0 is 0.
    lengths = cast("Tensor", torch.linalg.vector_norm(alike, dim=1, keepdim=True))
    return alike / lengths.masked_fill(lengths == 0, 1)


def _stage(shapes: Shapes, whose: str, layer: str | None) -> str:
    if layer is not None:
        return named(layer, shapes, whose)
    try:
        return last_map(shapes, whose)
    except RecipeError:
        return embedding(shapes, whose)
