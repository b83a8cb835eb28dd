"""MiniLM: tokens stand to each other in the student's last layer as in a layer of the teacher.

Formula
    L = sum over X in {Q, K, V} of a_X * mean over relation heads r and real tokens i of
        KL( R_t,ri || R_s,ri ),  R_r = softmax( X_r X_r^T / sqrt(D / R) )
    X_r: the queries, keys or values of all attention heads side by side, divided anew into R parts
Shapes
    queries, keys and values (B, L, D_s) and (B, L, D_t), both widths multiples of R; numbers of
    attention heads may differ; padding is no row and no column; result (B,) in nats, 0 where all
    relations are equal
Paper
    Wang, Bao, Huang, Dong, Wei. MiniLMv2: Multi-Head Self-Attention Relation Distillation for
    Compressing Pretrained Transformers. Findings of ACL 2021. arXiv:2012.15828;
    before: MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained
    Transformers. arXiv:2002.10957
Source
    The formula of the paper; microsoft/unilm, minilm/README.md, has networks and results, and no
    code of the training. The paper has 48 relation heads for students of a base-size teacher and 64
    for those of a large one, and of the latter the 21st of 24 layers: set `teacher_layer` to it.
    The paper distils pre-training, and tunes the student on labels afterwards; the method does both
    on the data at hand.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

from pydantic import Field, JsonValue

from kdcore.errors import RecipeError
from kdcore.functional import kl_divergence, log_softmax, widened
from kdcore.lazy import torch
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import Layer
from kdcore.tensors import Taps
from kdcore.transformer_layers import by_head, encoder, need_tokens, projection, real_tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Sizes

_PAPERS: Final = 48
_RELATIONS: Final = ("query", "key", "value")

Factor = Annotated[float, Field(ge=0, le=1e6)]
RelationHeads = Annotated[int, Field(ge=1, le=4096)] | None


class MiniLM(Objective):
    """Match how queries, keys and values of tokens are related to each other."""

    name: Literal["minilm"] = "minilm"
    student_layer: Layer | None = None
    """A numbered layer of the student; None is its last one."""
    teacher_layer: Layer | None = None
    """A numbered layer of the teacher; None is its last one."""
    relation_heads: RelationHeads = None
    """Parts R that the projections are divided into, a divisor of both networks' widths; None is
    the largest one up to the paper's 48."""
    query_weight: Factor = 1.0
    """Factor of the relations of queries."""
    key_weight: Factor = 1.0
    """Factor of the relations of keys."""
    value_weight: Factor = 1.0
    """Factor of the relations of values."""

    needs_tokens: ClassVar[bool] = True

    def taps(self, sizes: Sizes) -> Taps:
        """Read queries, keys and values of one layer of each network.

        Raises:
            RecipeError: there are none, or they cannot be divided alike.
        """
        ours = self.student_layer or encoder(sizes.student, "student").layers[-1]
        theirs = self.teacher_layer or encoder(sizes.teacher, "teacher").layers[-1]
        pairs = [
            (
                projection(sizes.student, "student", ours, which),
                projection(sizes.teacher, "teacher", theirs, which),
            )
            for which in _RELATIONS
        ]
        need_tokens(sizes, pairs, self.name)
        heads = self.relation_heads or 1
        for one, other in pairs:
            widths = sizes.student[one][1], sizes.teacher[other][1]
            if any(width % heads for width in widths):
                common = math.gcd(*widths)
                fitting = [str(size) for size in range(1, common + 1) if common % size == 0]
                raise RecipeError(
                    f"minilm: found relation_heads {heads}, and projections of {widths[0]} and "
                    f"{widths[1]} numbers; expected a divisor of both: {', '.join(fitting)}",
                    hint="set relation_heads to one of these, or leave it out",
                )
        return Taps(tuple(one for one, _ in pairs), tuple(other for _, other in pairs))

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        factors = (self.query_weight, self.key_weight, self.value_weight)
        terms: list[Tensor] = []
        for ours, theirs, factor in zip(seen.taps.student, seen.taps.teacher, factors, strict=True):
            student, teacher = seen.student.features[ours], seen.teacher.features[theirs]
            real = real_tokens(seen.batch, widened(student))  # (B, L)
            parts = self.relation_heads or _largest(student.shape[-1], teacher.shape[-1])
            terms.append(factor * _divergence(student, teacher, real, parts))
        return torch.stack(terms).sum(0)


class MiniLMMethod(Method):
    """The relations within one layer first, then the labels."""

    name: Literal["minilm"] = "minilm"
    title: ClassVar[str] = "MiniLMv2"
    relations_share: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the training in which the relations are learned alone, before the labels; 0 learns
    both together to the end."""
    relation_heads: RelationHeads = None
    """Parts R that the projections are divided into, a divisor of both networks' widths; None is
    the largest one up to the paper's 48."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """The relations, then CE."""
        first: dict[str, JsonValue] = {"end": self.relations_share} if self.relations_share else {}
        heads = self.relation_heads
        return {
            "objectives": [
                {"name": "minilm", "weight": 1.0, "relation_heads": heads, **first},
                {"name": "cross_entropy", "weight": 1.0, "begin": self.relations_share},
            ]
        }


def minilm_loss(student: Tensor, teacher: Tensor, real: Tensor, *, relation_heads: int) -> Tensor:
    """Return the mean loss of one kind of projections `(B, L, D_s)` and `(B, L, D_t)`, `()`.

    `real` `(B, L)` is 1 for a token and 0 for padding.
    """
    return _divergence(student, teacher, real, relation_heads).mean()


def _largest(ours: int, theirs: int) -> int:
    common = math.gcd(ours, theirs)
    return next(size for size in range(_PAPERS, 0, -1) if common % size == 0)


def _divergence(student: Tensor, teacher: Tensor, real: Tensor, heads: int) -> Tensor:
    """Return the loss of one kind of projections `(B,)`."""
    rows = kl_divergence(_relations(teacher, real, heads), _relations(student, real, heads))
    return (rows.mean(1) * real).sum(1) / real.sum(1).clamp(min=1)


def _relations(projected: Tensor, real: Tensor, heads: int) -> Tensor:
    """Return log R `(B, R, L, L)` of projections `(B, L, D)`."""
    parts = by_head(widened(projected), heads)  # (B, R, L, D / R)
    scores = parts @ parts.transpose(2, 3) / parts.shape[-1] ** 0.5
    # A finite number: minus infinity would make the divergence of padding NaN.
    lowest = torch.finfo(scores.dtype).min / 2
    return log_softmax(scores.masked_fill(real[:, None, None, :] == 0, lowest))
