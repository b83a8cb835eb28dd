"""Contrastive representation distillation (CRD): know the teacher's answer to this very sample.

Formula
    L = sum over both sides of -[ log h(v, m_i) + sum_k log(1 - h(v, m_k)) ]
    P(v, m) = exp(<v, m> / tau) / Z;  h = P / (P + K/N);  1 - h = (K/N) / (P + K/N)
    v: the sample's embedding by one network, linear to 128 numbers and L2-normalised
    m: the other network's embeddings as last seen, kept for all N samples; m_i of the same sample,
    m_k of K samples of other classes; then m_i <- normalise(momentum m_i + (1 - momentum) v')
    Z: N times the mean of exp(<v, m> / tau) over the first batch, one for each side, then fixed
Shapes
    features (B, ...) flattened, labels (B,), indices (B,); result (B,) in nats. Two banks (N, 128).
Paper
    Tian, Krishnan, Isola. Contrastive Representation Distillation. ICLR 2020. arXiv:1910.10699
Source
    HobbitLong/RepDistiller, crd/criterion.py, crd/memory.py and dataset/cifar100.py (mode `exact`),
    executed with the same banks and negatives. As there, and not as in the paper, the positive is
    the remembered embedding and no fresh one, and both linear layers are trained. Banks, Z and
    labels are saved with the run.
    Negatives: theirs are drawn without replacement for each sample. Here the samples of other
    classes are cut into K equal slices, one is drawn from each, and the whole is turned by a random
    number: none comes twice, all are equally likely, and the numbers drawn grow with K and not with
    N. Fewer than K are repeated evenly. Classes are known from the batches that were seen: in the
    first epoch a sample that has not come yet counts as one of another class. K is at most N - 1.
    1e-7 stands beside K/N in the denominators, as theirs; everything is computed in logarithms.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.counters import uniform
from kdcore.errors import RecipeError
from kdcore.functional import widened
from kdcore.lazy import F, torch
from kdcore.lazy import nn as modules
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import Layer, embedding
from kdcore.tensors import HIDDEN, Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Sizes

_STREAM = zlib.crc32(b"crd")
_EPSILON = 1e-7


class CRD(Objective):
    """Tell the teacher's embedding of this sample from those of samples of other classes."""

    name: Literal["crd"] = "crd"
    student_layer: Layer | None = None
    """Stage of the student; None is what its head is given."""
    teacher_layer: Layer | None = None
    """Stage of the teacher; None is what its head is given."""
    dimensions: Annotated[int, Field(ge=1, le=4096)] = 128
    """Numbers in an embedding that is compared and remembered."""
    negatives: Annotated[int, Field(ge=1, le=1_000_000)] = 16384
    """Samples K that each one is told from; at most all others."""
    tau: Annotated[float, Field(ge=0.01, le=100)] = 0.07
    """Temperature of the contrast; that of the temperature axis does not reach it."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the old embedding in the remembered one."""

    needs_labels: ClassVar[bool] = True
    needs_indices: ClassVar[bool] = True

    def taps(self, sizes: Sizes) -> Taps:
        """Read one output of each network."""
        ours = embedding(sizes.student, "student", self.student_layer)
        theirs = embedding(sizes.teacher, "teacher", self.teacher_layer)
        return Taps((ours,), (theirs,))

    def heads(self, sizes: Sizes) -> nn.Module:
        """Return both linear layers; buffers hold what is remembered.

        Raises:
            RecipeError: there is no other sample to be told from.
        """
        count = sizes.num_samples
        if count < 2:  # noqa: PLR2004  # one, and another
            raise RecipeError(f"crd: found {count} training samples; expected 2 or more")
        taps = self.taps(sizes)
        ours, theirs = sizes.student[taps.student[0]], sizes.teacher[taps.teacher[0]]
        parts = modules.ModuleDict(
            {
                "student": modules.Linear(math.prod(ours), self.dimensions),
                "teacher": modules.Linear(math.prod(theirs), self.dimensions),
            }
        )
        limit = math.sqrt(3 / self.dimensions)
        for side in ("student", "teacher"):
            bank = torch.empty(count, self.dimensions).uniform_(-limit, limit)
            parts.register_buffer(f"{side}_bank", bank)
            parts.register_buffer(f"{side}_log_z", torch.tensor(-math.inf))  # not set yet
        parts.register_buffer("labels", torch.full((count,), HIDDEN))
        return parts

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file; remembers the embeddings, so it is asked once a step."""
        parts = cast("nn.ModuleDict", heads)
        index = seen.batch.index
        student = _embedded(parts["student"], seen.student.features[seen.taps.student[0]])
        teacher = _embedded(parts["teacher"], seen.teacher.features[seen.taps.teacher[0]])
        labels = parts.get_buffer("labels").index_copy(0, index, seen.batch.labels)
        count = min(self.negatives, len(labels) - 1)
        others = negatives(index, labels, count, seed=seen.seed, view=seen.batch.view)
        places = torch.cat([index[:, None], others], 1)  # (B, 1 + K)
        banks = [widened(parts.get_buffer(f"{side}_bank")) for side in ("student", "teacher")]
        total = torch.zeros((), device=student.device)
        for side, ours, bank in (("student", student, banks[1]), ("teacher", teacher, banks[0])):
            scores = _scores(ours, bank, places, self.tau)
            log_z = _log_z(parts.get_buffer(f"{side}_log_z"), scores, len(labels))
            total = total + _contrast(scores, log_z, len(labels))
            parts.register_buffer(f"{side}_log_z", log_z)
        # New tensors, not new contents: the old ones are still needed for the gradient.
        for side, bank, new in zip(("student", "teacher"), banks, (student, teacher), strict=True):
            old = parts.get_buffer(f"{side}_bank")
            moved = self.momentum * bank[index] + (1 - self.momentum) * new.detach()
            remembered = F.normalize(moved, dim=-1).to(old.dtype)
            parts.register_buffer(f"{side}_bank", old.index_copy(0, index, remembered))
        parts.register_buffer("labels", labels)
        return total


class CRDMethod(Method):
    """Labels and CRD, in the proportions of the paper's CIFAR-100 experiments."""

    name: Literal["crd"] = "crd"
    title: ClassVar[str] = "Contrastive representation distillation"
    weight: Annotated[float, Field(ge=0, le=1e6)] = 0.8
    """Factor of CRD beside the labels' 1."""
    negatives: Annotated[int, Field(ge=1, le=1_000_000)] = 16384
    """Samples that each one is told from; at most all others."""
    tau: Annotated[float, Field(ge=0.01, le=100)] = 0.07
    """Temperature of the contrast."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + weight * CRD."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {
                    "name": "crd",
                    "weight": self.weight,
                    "negatives": self.negatives,
                    "tau": self.tau,
                },
            ]
        }


def crd_loss(
    embedded: Tensor, bank: Tensor, places: Tensor, log_z: Tensor, *, tau: float = 0.07
) -> Tensor:
    """Return the mean CRD loss of one side, `()` in nats.

    Embeddings `(B, D)` of one network, `bank` `(N, D)` of the other, `places` `(B, 1 + K)` in the
    bank with the positive first, the logarithm of the constant Z `()`.
    """
    return _contrast(_scores(embedded, bank, places, tau), log_z, len(bank)).mean()


def negatives(index: Tensor, labels: Tensor, count: int, *, seed: int, view: int) -> Tensor:
    """Draw for each sample of `index` `(B,)` others of known `labels` `(N,)` other than its own.

    Returns `(B, count)`. A sample whose label is hidden, or whose class is everybody's, is kept
    from itself alone.
    """
    order = labels.argsort(stable=True)  # (N,): a class is a block in it
    own, ordered = labels[index], labels[order]
    first = torch.searchsorted(ordered, own)
    size = torch.searchsorted(ordered, own, right=True) - first
    alone = (own == HIDDEN) | (size == len(labels))
    first = torch.where(alone, order.argsort()[index], first)[:, None]
    size = torch.where(alone, 1, size)[:, None]
    others = len(labels) - size  # (B, 1)
    slices = torch.arange(count + 1, device=index.device)
    drawn = uniform(seed, _STREAM, index[:, None] * (count + 1) + slices, view)  # (B, count + 1)
    edges = slices * others // count  # (B, count + 1)
    within = (drawn[:, 1:] * edges.diff(dim=1)).long()
    turn = (drawn[:, :1] * others).long()
    place = (edges[:, :-1] + within + turn) % others
    return order[place + (place >= first) * size]


def _embedded(layer: nn.Module, features: Tensor) -> Tensor:
    return F.normalize(widened(layer(features.flatten(1))), dim=-1)


def _scores(embedded: Tensor, bank: Tensor, places: Tensor, tau: float) -> Tensor:
    """Return <v, m> / tau `(B, 1 + K)`; all N at once cost less than 1 + K rows copied out."""
    return (embedded @ bank.T).gather(1, places) / tau


def _log_z(log_z: Tensor, scores: Tensor, count: int) -> Tensor:
    """Return log Z `()`, set now if it has not been."""
    first = scores.detach().flatten().logsumexp(0) + math.log(count / scores.numel())
    return torch.where(log_z.isfinite(), log_z, first)


def _contrast(scores: Tensor, log_z: Tensor, count: int) -> Tensor:
    """Return one side's loss `(B,)` of scores `(B, 1 + K)`, the positive first."""
    noise = (scores.shape[1] - 1) / count  # K/N
    chances = scores - log_z  # log P
    either = torch.logaddexp(chances, chances.new_tensor(math.log(noise + _EPSILON)))
    positive, rest = chances[:, 0] - either[:, 0], math.log(noise) - either[:, 1:]
    return -(positive + rest.sum(1))
