"""Attention scores: each head of the student looks where a head of the teacher looks.

Formula
    L = sum over pairs of mean over heads and real tokens i, j of ( A_s - A_t )_hij^2
    A_h = Q_h K_h^T / sqrt(D / H), before the softmax
Shapes
    queries and keys (B, L, D_s) and (B, L, D_t), of H heads in both networks; rows and columns of
    padding are left out; result (B,), 0 where all scores are equal
Paper
    Jiao et al. TinyBERT: Distilling BERT for Natural Language Understanding. Findings of EMNLP
    2020. arXiv:1909.10351, equation 7
Source
    huawei-noah/Pretrained-Language-Model, TinyBERT/task_distill.py (att_loss) and
    TinyBERT/transformer/modeling.py (BertSelfAttention). There a score of padding, which is far
    below -100, counts as 0 in both networks, so that padding has a part in the mean, and its rows
    have a loss; here it has none. Both map the student's layer i of n to the teacher's i * m / n.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.errors import RecipeError
from kdcore.functional import widened
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.tensors import Taps
from kdcore.transformer_layers import (
    LayerMap,
    attention_heads,
    by_head,
    layer_pairs,
    need_tokens,
    projection,
    real_tokens,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Sizes


class AttentionScores(Objective):
    """Match the scores of attention before their softmax, head by head."""

    name: Literal["attention_scores"] = "attention_scores"
    layers: LayerMap = "uniform"
    """Which layers are compared: `uniform` takes for each of the student's n layers the teacher's
    at the same share of its depth, `last` the last ones; or pairs of layers [student's,
    teacher's]."""

    needs_tokens: ClassVar[bool] = True

    def taps(self, sizes: Sizes) -> Taps:
        """Read queries and keys of every pair, one after the other.

        Raises:
            RecipeError: a network has no such projections, or another number of heads.
        """
        ours, theirs = attention_heads(sizes)
        if ours != theirs or not ours:
            raise RecipeError(
                f"attention_scores: found {ours or 'no known number of'} attention heads in the "
                f"student and {theirs or 'no known number of'} in the teacher; expected the same",
                hint="give the student as many heads (num_attention_heads), or take minilm, which "
                "divides both anew",
            )
        pairs = [
            (
                projection(sizes.student, "student", one, which),
                projection(sizes.teacher, "teacher", other, which),
            )
            for one, other in layer_pairs(sizes, self.layers)
            for which in ("query", "key")
        ]
        need_tokens(sizes, pairs, self.name)
        return Taps(
            tuple(one for one, _ in pairs), tuple(other for _, other in pairs), attention_heads=ours
        )

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        student = [seen.student.features[name] for name in seen.taps.student]
        teacher = [seen.teacher.features[name] for name in seen.taps.teacher]
        real, count = real_tokens(seen.batch, widened(student[0])), seen.taps.attention_heads
        terms = [
            _distance(
                _scores(student[place], student[place + 1], count),
                _scores(teacher[place], teacher[place + 1], count),
                real,
            )
            for place in range(0, len(student), 2)
        ]
        return torch.stack(terms).sum(0)


class TinyBERTMethod(Method):
    """What is within every layer first, then the teacher's answers."""

    name: Literal["tinybert"] = "tinybert"
    title: ClassVar[str] = "TinyBERT"
    layers_share: Annotated[float, Field(ge=0, lt=1)] = 0.77
    """Share of the training in which hidden states and attention are learned alone, before the
    answers: the paper's 10 epochs of 13; 0 learns all together to the end."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 1.0
    """Softening temperature T of KD."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """hidden_states + attention_scores, then T^2 KL."""
        first: dict[str, JsonValue] = {"end": self.layers_share} if self.layers_share else {}
        return {
            "objectives": [
                {"name": "hidden_states", "weight": 1.0, **first},
                {"name": "attention_scores", "weight": 1.0, **first},
                {"name": "kd", "weight": 1.0, "begin": self.layers_share},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
        }


def attention_scores_loss(student: Tensor, teacher: Tensor, real: Tensor) -> Tensor:
    """Return the mean loss of one pair of scores `(B, H, L, L)`, a scalar.

    `real` `(B, L)` is 1 for a token and 0 for padding.
    """
    return _distance(student, teacher, real).mean()


def _scores(query: Tensor, key: Tensor, heads: int) -> Tensor:
    """Return the scores `(B, H, L, L)` of queries and keys `(B, L, D)`."""
    query, key = (by_head(widened(one), heads) for one in (query, key))  # (B, H, L, D / H)
    return query @ key.transpose(2, 3) / query.shape[-1] ** 0.5


def _distance(student: Tensor, teacher: Tensor, real: Tensor) -> Tensor:
    """Return one pair's loss `(B,)`."""
    squares = (student - teacher).square().mean(1)  # (B, L, L)
    both = real[:, :, None] * real[:, None, :]
    return (squares * both).sum((1, 2)) / both.sum((1, 2)).clamp(min=1)
