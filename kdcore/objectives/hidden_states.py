"""Hidden states: each token becomes in the student's layers what it becomes in the teacher's.

Formula
    L = sum over pairs of mean over the real tokens of d(W h_s, h_t)
    d mse: mean_j (W h_s - h_t)_j^2;  normalized: the same of h / ||h||_2;  cosine: 1 - cos
    W: a learned linear map with bias, one for all pairs, where widths differ; else nothing
Shapes
    hidden states (B, L, D_s) and (B, L, D_t), padding left out; result (B,): mse in squared units
    of the teacher's, normalized at most 4 / D_t a pair, cosine at most 2 a pair; 0 where all tokens
    agree
Paper
    Jiao et al. TinyBERT: Distilling BERT for Natural Language Understanding. Findings of EMNLP
    2020. arXiv:1909.10351, equations 8 and 9 (mse, with the embeddings)
    Sun, Cheng, Gan, Liu. Patient Knowledge Distillation for BERT Model Compression. EMNLP 2019.
    arXiv:1908.09355, its patience loss (normalized, of the first token)
    Sanh, Debut, Chaumond, Wolf. DistilBERT, a distilled version of BERT: smaller, faster, cheaper
    and lighter. arXiv:1910.01108 (cosine, of the last layer)
Source
    huawei-noah/Pretrained-Language-Model, TinyBERT/task_distill.py and
    TinyBERT/transformer/modeling.py (fit_dense); intersun/PKD-for-BERT-Model-Compression,
    src/KD_loss.py (patience_loss); huggingface/transformers-research-projects,
    distillation/distiller.py (step, cosine_loss). TinyBERT maps equal widths as well, and takes the
    mean over padding, too; here, as in DistilBERT, padding has no part. DistilBERT has the mean
    over all tokens of a batch; here each sample has its own, so that samples can be weighed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.errors import RecipeError
from kdcore.functional import widened
from kdcore.lazy import F, torch
from kdcore.lazy import nn as modules
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.tensors import Taps
from kdcore.transformer_layers import (
    LayerMap,
    embeddings_pair,
    layer_pairs,
    need_tokens,
    real_tokens,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Sizes

Distance = Literal["mse", "normalized", "cosine"]


class HiddenStates(Objective):
    """Match the hidden states of tokens, layer by layer."""

    name: Literal["hidden_states"] = "hidden_states"
    layers: LayerMap = "uniform"
    """Which layers are compared: `uniform` takes for each of the student's n layers the teacher's
    at the same share of its depth, and what the first layers are given, `last` the last ones; or
    pairs of layers [student's, teacher's]."""
    distance: Distance = "mse"
    """How two hidden states are compared: mean squared error, the same at length 1, or cosine."""
    tokens: Literal["all", "first"] = "all"
    """All tokens, or the first of each text alone, which stands for the text in BERT."""

    needs_tokens: ClassVar[bool] = True

    def taps(self, sizes: Sizes) -> Taps:
        """Read the layers of every pair.

        Raises:
            RecipeError: a network is no transformer, or one map cannot lead from layer to layer.
        """
        pairs = layer_pairs(sizes, self.layers)
        if self.layers == "uniform":
            pairs = [*embeddings_pair(sizes), *pairs]
        need_tokens(sizes, pairs, self.name)
        widths = {(sizes.student[ours][1], sizes.teacher[theirs][1]) for ours, theirs in pairs}
        if len(widths) > 1:
            raise RecipeError(
                f"hidden_states: found layers of widths {sorted(widths)} (student, teacher); "
                "expected one for all pairs, since they share a map",
                hint="write an objective for each width",
            )
        return Taps(tuple(ours for ours, _ in pairs), tuple(theirs for _, theirs in pairs))

    def heads(self, sizes: Sizes) -> nn.Module | None:
        """Return the map to the teacher's width, if it is another one."""
        taps = self.taps(sizes)
        ours, theirs = sizes.student[taps.student[0]][1], sizes.teacher[taps.teacher[0]][1]
        return None if ours == theirs else modules.Linear(ours, theirs)

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        terms: list[Tensor] = []
        for ours, theirs in zip(seen.taps.student, seen.taps.teacher, strict=True):
            student, teacher = seen.student.features[ours], seen.teacher.features[theirs]
            real = real_tokens(seen.batch, widened(student))  # (B, L)
            if self.tokens == "first":
                student, teacher, real = student[:, :1], teacher[:, :1], real[:, :1]
            mapped = student if heads is None else heads(student)
            terms.append(_distance(mapped, teacher, real, self.distance))
        return torch.stack(terms).sum(0)


class DistilBERTMethod(Method):
    """Labels, softened answers and the direction of the last hidden states."""

    name: Literal["distilbert"] = "distilbert"
    title: ClassVar[str] = "DistilBERT"
    kd_weight: Annotated[float, Field(ge=0, le=1e6)] = 5.0
    """Factor of KD."""
    labels_weight: Annotated[float, Field(ge=0, le=1e6)] = 2.0
    """Factor of the labels, which stand where pre-training has its masked words."""
    cosine_weight: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Factor of the hidden states."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 2.0
    """Softening temperature T of KD."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """labels_weight CE + kd_weight T^2 KL + cosine_weight (1 - cos)."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": self.labels_weight},
                {"name": "kd", "weight": self.kd_weight},
                {
                    "name": "hidden_states",
                    "weight": self.cosine_weight,
                    "layers": "last",
                    "distance": "cosine",
                },
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
        }


def hidden_states_loss(
    mapped: Tensor, teacher: Tensor, real: Tensor, *, distance: Distance = "mse"
) -> Tensor:
    """Return the mean loss of one pair of hidden states `(B, L, D)`, a scalar.

    `real` `(B, L)` is 1 for a token and 0 for padding.
    """
    return _distance(mapped, teacher, real, distance).mean()


def _distance(mapped: Tensor, teacher: Tensor, real: Tensor, distance: Distance) -> Tensor:
    """Return one pair's loss `(B,)`."""
    ours, theirs = widened(mapped), widened(teacher)
    if distance == "cosine":
        apart = 1 - F.cosine_similarity(ours, theirs, dim=-1)
    elif distance == "normalized":
        apart = (F.normalize(ours, dim=-1) - F.normalize(theirs, dim=-1)).square().mean(-1)
    else:
        apart = (ours - theirs).square().mean(-1)  # (B, L)
    return (apart * real).sum(1) / real.sum(1).clamp(min=1)
