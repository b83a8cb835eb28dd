"""Relational knowledge distillation (RKD): the same distances and angles between samples.

Formula
    L = 25 D + 50 A
    D = mean_{ij} h( d_ij(s) / m(s), d_ij(t) / m(t) );  d_ij = ||f_i - f_j||, m the mean of d > 0
    A = mean_{ijk} h( cos_ijk(s), cos_ijk(t) );  cos_ijk = e_ij . e_ik, e_ij = (f_j - f_i) / d_ij
    h: smooth L1, x^2 / 2 below 1 and |x| - 1/2 above
Shapes
    embeddings (B, D), whose widths may differ; result (); 0 where the student's embeddings are the
    teacher's, moved, turned and scaled. A holds two times B^3 numbers for the gradient, in float32
    2 MB at B = 64, 134 MB at 256 and 8.6 GB at 1024, beside B^2 D.
Paper
    Park, Kim, Lu, Cho. Relational Knowledge Distillation. CVPR 2019. arXiv:1904.05068
Source
    lenscloth/RKD, metric/loss.py; HobbitLong/RepDistiller, distiller_zoo/RKD.py;
    megvii-research/mdistiller, mdistiller/distillers/RKD.py, with the factors 25 and 50. Means are
    over all pairs and triples, the diagonals with their zeros included, as there. That code takes
    distances from products of the embeddings and none below 1e-6; here differences are taken, so
    that equal samples are at 0, count as such, and have a finite gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.functional import widened
from kdcore.lazy import F, torch
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import Layer, embedding
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Sizes

Factor = Annotated[float, Field(ge=0, le=1e6)]


class RKD(Objective):
    """Match the distances of pairs and the angles of triples of a batch."""

    name: Literal["rkd"] = "rkd"
    student_layer: Layer | None = None
    """Any stage of the student; None is what its head is given."""
    teacher_layer: Layer | None = None
    """Any stage of the teacher; None is what its head is given."""
    distance_weight: Factor = 25.0
    """Factor of the distances D."""
    angle_weight: Factor = 50.0
    """Factor of the angles A; 0 saves their B^3 numbers."""

    couples_samples: ClassVar[bool] = True
    smallest_batch: ClassVar[int] = 3

    def taps(self, sizes: Sizes) -> Taps:
        """Read one stage of each network."""
        ours = embedding(sizes.student, "student", self.student_layer)
        theirs = embedding(sizes.teacher, "teacher", self.teacher_layer)
        return Taps((ours,), (theirs,))

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        return rkd_loss(
            seen.student.features[seen.taps.student[0]],
            seen.teacher.features[seen.taps.teacher[0]],
            distance_weight=self.distance_weight,
            angle_weight=self.angle_weight,
        )


class RKDMethod(Method):
    """Labels, and the relations between embeddings."""

    name: Literal["rkd"] = "rkd"
    title: ClassVar[str] = "Relational knowledge distillation"
    weight: Factor = 1.0
    """Factor of both relations beside the labels' 1."""
    distance_weight: Factor = 25.0
    """Factor of the distances."""
    angle_weight: Factor = 50.0
    """Factor of the angles."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + weight * (distance_weight * D + angle_weight * A)."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {
                    "name": "rkd",
                    "weight": self.weight,
                    "distance_weight": self.distance_weight,
                    "angle_weight": self.angle_weight,
                },
            ]
        }


def rkd_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    distance_weight: float = 25.0,
    angle_weight: float = 50.0,
) -> Tensor:
    """Return the RKD loss of embeddings `(B, ...)`, a scalar; a factor of 0 saves its term."""
    ours, theirs = widened(student).flatten(1), widened(teacher).flatten(1)
    total = ours.new_zeros(())
    if distance_weight:
        total = total + distance_weight * F.smooth_l1_loss(distances(ours), distances(theirs))
    if angle_weight:
        total = total + angle_weight * F.smooth_l1_loss(angles(ours), angles(theirs))
    return total


def distances(embeddings: Tensor) -> Tensor:
    """Return distances `(B, B)` of embeddings `(B, D)`, over the mean of those above 0."""
    # Differences, no products: nothing cancels, and the gradient of a distance of 0 is 0.
    found = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    mean = found.sum() / (found > 0).sum().clamp(min=1)
    return found / mean.masked_fill(mean == 0, 1)


def angles(embeddings: Tensor) -> Tensor:
    """Return the cosines `(B, B, B)` at each embedding `(B, D)` between each two; 0 at no angle."""
    away = embeddings - embeddings.unsqueeze(1)  # [i, j] is f_j - f_i
    # Its gradient at 0 is 0.
    lengths = cast("Tensor", torch.linalg.vector_norm(away, dim=2, keepdim=True))
    directions = away / lengths.masked_fill(lengths == 0, 1)
    return torch.bmm(directions, directions.mT)
