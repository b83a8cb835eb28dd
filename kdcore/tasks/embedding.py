"""Embedding: each sample has a vector, which only the teacher knows.

Formula
    cosine = mean over the samples of <z, t> / (|z| |t|), t being the teacher's vector
    loss = 1 - cosine; agreement = cosine
Shapes
    vectors (N, D), D being `dimensions`; labels are the teacher's vectors (N, D). The data may have
    classes (N,), -1 for "none": nobody learns them, the report tells who finds them again
Paper
    Reimers, Gurevych. Making Monolingual Sentence Embeddings Multilingual using Knowledge
    Distillation. 2020. arXiv:2004.09813
Source
    scikit-learn, sklearn/metrics/pairwise.py (cosine_similarity) computes the same;
    UKPLab/sentence-transformers, sentence_transformers/losses/MSELoss.py, has the teacher's
    vectors as the labels as well
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from kdcore.examine_vectors import examine_vectors
from kdcore.lazy import F
from kdcore.objectives.cosine import Cosine
from kdcore.task import Said, Task

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.dataset import Source
    from kdcore.quality import VectorQuality


class Embedding(Task):
    """A vector a sample: the teacher's."""

    name: Literal["embedding"] = "embedding"
    dimensions: Annotated[int, Field(ge=2, le=65_536, examples=[64])]
    """Numbers in a vector, as many as the teacher gives."""

    metric: ClassVar[str] = "cosine"
    title: ClassVar[str] = "cosine similarity to the teacher"
    gives: ClassVar[str] = "a vector, to be compared with others by the cosine"
    has_hard_answers: ClassVar[bool] = False
    learns_labels: ClassVar[bool] = False
    reads_as: ClassVar[str | None] = "classification"
    words: ClassVar[Mapping[str, str]] = {"cross_entropy": "cosine", "kd": "cosine"}

    def alone(self) -> Cosine:
        """Return the cosine to the teacher: nobody learns a vector alone."""
        return Cosine()

    def hard(self, outputs: Tensor) -> Tensor:
        """Return them as they are."""
        return outputs

    def outputs(self, told: int) -> int:  # noqa: ARG002  # classes are none of its business
        """Return the numbers in a vector."""
        return self.dimensions

    def check(self, source: Source) -> None:
        """Take all: no label is learned."""

    def score(
        self, outputs: Tensor, labels: Tensor, teacher_outputs: Tensor | None = None
    ) -> dict[str, float]:
        """See the formula of this file; `labels` `(N, D)` are the teacher's vectors."""
        cosine = _mean_cosine(outputs, labels)
        scores = {"cosine": cosine, "loss": 1 - cosine}
        if teacher_outputs is not None:
            scores["agreement"] = _mean_cosine(outputs, teacher_outputs)
        return scores

    def examine(self, said: Said) -> VectorQuality:
        """Tell who finds the teacher's neighbours, and the data's classes."""
        return examine_vectors(said)


def _mean_cosine(some: Tensor, others: Tensor) -> float:
    return float(F.cosine_similarity(some.double(), others.double()).mean())
