"""Cosine: point where the teacher's vector points, whatever the lengths.

Formula
    L = 1 - <z_s, z_t> / (|z_s| |z_t|)
Shapes
    student, teacher vectors (B, D); result (B,) in [0, 2], 0 where one is a multiple of the other
    by a number above 0, and 1 where either is 0
Paper
    Sanh, Debut, Chaumond, Wolf. DistilBERT, a distilled version of BERT. 2019. arXiv:1910.01108,
    section 3, the cosine embedding loss; there between hidden states, here between outputs.
Source
    huggingface/transformers, examples/research_projects/distillation/distiller.py
    (nn.CosineEmbeddingLoss with targets of 1), the mean over the samples as there
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from kdcore.functional import widened
from kdcore.lazy import F
from kdcore.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class Cosine(Objective):
    """Point where the teacher's vector points."""

    name: Literal["cosine"] = "cosine"

    # Of a single number nothing but the sign would be left.
    tasks: ClassVar[frozenset[str] | None] = frozenset(
        {"classification", "embedding", "multi_label"}
    )

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        return 1 - F.cosine_similarity(widened(seen.student.logits), widened(seen.teacher.logits))


def cosine_loss(student_vectors: Tensor, teacher_vectors: Tensor) -> Tensor:
    """Return the mean loss of vectors `(B, D)`, a scalar."""
    return 1 - F.cosine_similarity(student_vectors, teacher_vectors).mean()
