"""Probabilistic knowledge transfer (PKT): the same neighbours, with the same probabilities.

Formula
    L = 1/B^2 sum_{ij} t_ij log( (t_ij + eps) / (s_ij + eps) )
    s_ij = K_ij / sum_k K_ik,  K_ij = (cos(f_i, f_j) + 1) / 2; t alike, of the teacher
Shapes
    embeddings (B, D), whose widths may differ; result () in nats; 0 where all cosines are the same.
    An embedding of nothing but zeros has a cosine of 0 with all, itself included.
Paper
    Passalis, Tefas. Learning Deep Representations with Probabilistic Knowledge Transfer. ECCV 2018.
    arXiv:1803.10837
Source
    HobbitLong/RepDistiller, distiller_zoo/PKT.py (from the authors' passalis/probabilistic_kt);
    megvii-research/mdistiller, mdistiller/distillers/PKT.py. The paper sums where the
    code takes the mean over B^2, the diagonal included; the usual factor 30000 belongs to the mean,
    so this has it too. eps also is added to the length of a vector, as there; a length of 0 has a
    finite gradient here and none there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.functional import widened
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import Layer, embedding
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Sizes


class PKT(Objective):
    """Match the probability of each sample of a batch to be each other's neighbour."""

    name: Literal["pkt"] = "pkt"
    student_layer: Layer | None = None
    """Any stage of the student; None is what its head is given."""
    teacher_layer: Layer | None = None
    """Any stage of the teacher; None is what its head is given."""
    epsilon: Annotated[float, Field(gt=0, le=0.01)] = 1e-7
    """Added to lengths and probabilities."""

    couples_samples: ClassVar[bool] = True
    smallest_batch: ClassVar[int] = 2

    def taps(self, sizes: Sizes) -> Taps:
        """Read one stage of each network."""
        ours = embedding(sizes.student, "student", self.student_layer)
        theirs = embedding(sizes.teacher, "teacher", self.teacher_layer)
        return Taps((ours,), (theirs,))

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        return pkt_loss(
            seen.student.features[seen.taps.student[0]],
            seen.teacher.features[seen.taps.teacher[0]],
            epsilon=self.epsilon,
        )


class PKTMethod(Method):
    """Labels and the neighbours of embeddings."""

    name: Literal["pkt"] = "pkt"
    title: ClassVar[str] = "Probabilistic knowledge transfer"
    weight: Annotated[float, Field(ge=0, le=1e6)] = 30_000.0
    """Factor of PKT beside the labels' 1."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + weight * PKT."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {"name": "pkt", "weight": self.weight},
            ]
        }


def pkt_loss(student: Tensor, teacher: Tensor, *, epsilon: float = 1e-7) -> Tensor:
    """Return the PKT loss of embeddings `(B, ...)`, a scalar in nats."""
    ours, theirs = _neighbours(student, epsilon), _neighbours(teacher, epsilon)
    return (theirs * ((theirs + epsilon) / (ours + epsilon)).log()).mean()


def _neighbours(embeddings: Tensor, epsilon: float) -> Tensor:
    """Return the probabilities `(B, B)` of a sample's neighbours; rows sum to 1."""
    vectors = widened(embeddings).flatten(1)
    # Its gradient at 0 is 0.
    lengths = cast("Tensor", torch.linalg.vector_norm(vectors, dim=1, keepdim=True))
    units = vectors / (lengths + epsilon).masked_fill(lengths == 0, 1)
    alike = (units @ units.T + 1) / 2
    return alike / alike.sum(1, keepdim=True)
