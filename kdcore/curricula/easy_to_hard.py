"""Easy samples first: the student draws from a growing share of the data, the easiest part of it.

Formula
    Easiness of a sample, by the teacher, p = softmax(z_t) of its image without augmentation, y the
    label:
    confidence: p_y (ordered by log p_y - log(1 - p_y), which no rounding makes equal)
    margin: p_y - max_{c != y} p_c, below 0 where the teacher errs
    entropy: -H(p), which looks at no label
    Share in use, x = progress / full_at, 1 from x = 1 on, s the start:
    linear s + (1 - s) x;  root sqrt(s^2 + (1 - s^2) x);  quadratic s + (1 - s) x^2;  step s;
    exponential s * growth^floor(k x), k the fewest growths that lead from s to 1
Shapes
    teacher logits (N, C); labels (N,) in [0, C) or hidden, which is the teacher's best class;
    result (N,). Where `balanced`, the result is -1, -2, ... for the easiest, second easiest, ...:
    samples go by their rank in their own class, as a share of the class, then by easiness.
Paper
    Bengio, Louradour, Collobert, Weston. Curriculum Learning. ICML 2009. A teacher's confidence as
    the score, balanced classes, step and exponential pacing: Hacohen, Weinshall. On the Power of
    Curriculum Learning in Training Deep Networks. ICML 2019. arXiv:1904.03626. Root: Platanios,
    Stretcu, Neubig, Poczos, Mitchell. Competence-based Curriculum Learning for Neural Machine
    Translation. NAACL 2019. arXiv:1903.09848. Linear and quadratic among others, and how little the
    choice may matter: Wu, Dyer, Neyshabur. When Do Curricula Work? ICLR 2021. arXiv:2012.03107
Source
    GuyHacohen/curriculum_learning, main_train_networks.py (start 0.04, growth 1.9 every 100
    batches; its balance is by rank, which is ours where classes are equally large);
    google-research/understanding-curricula, utils/utils.py (its root is s + (1 - s) sqrt(x), its
    exponential (e^(10 x) - 1) / (e^10 - 1) in the place of x^2; here they are those of the papers
    that named them). None of these distils: the combination with KD, start 0.3 and full_at 0.5
    are ours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.curriculum import Curriculum
from kdcore.functional import targets, without
from kdcore.lazy import F, torch
from kdcore.method import Method, Pair

if TYPE_CHECKING:
    from torch import Tensor

Scoring = Literal["confidence", "margin", "entropy"]
Pacing = Literal["linear", "root", "quadratic", "step", "exponential"]
Start = Annotated[float, Field(ge=0.001, le=1)]
FullAt = Annotated[float, Field(ge=0, le=1)]
Growth = Annotated[float, Field(ge=1.01, le=1000)]

_ROUNDING = 1e-9


class EasyToHard(Curriculum):
    """Begin with the samples that the teacher finds easy."""

    name: Literal["easy_to_hard"] = "easy_to_hard"
    scoring: Scoring = "confidence"
    """What makes a sample easy: the teacher's confidence or margin in its label, or its entropy."""
    pacing: Pacing = "linear"
    """How the share in use grows."""
    start: Start = 0.3
    """Share of the samples in use at first."""
    full_at: FullAt = 0.5
    """Share of the training after which all samples are in use."""
    growth: Growth = 1.9
    """Factor by which the share grows at once; for exponential pacing."""
    balanced: bool = True
    """Take the easiest of each class, so that every class is there from the beginning."""

    tasks: ClassVar[frozenset[str] | None] = frozenset({"classification"})

    def scores(self, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """See the formula of this file."""
        classes = targets(labels, teacher_logits)
        scores = easiness(teacher_logits, classes, scoring=self.scoring)
        return _by_class(scores, classes) if self.balanced else scores

    def share(self, progress: float) -> float:
        """Return the share in use; it never falls."""
        return share_in_use(
            progress,
            pacing=self.pacing,
            start=self.start,
            full_at=self.full_at,
            growth=self.growth,
        )


class EasyToHardMethod(Method):
    """KD in the usual CIFAR proportions, easy samples first."""

    name: Literal["easy_to_hard"] = "easy_to_hard"
    title: ClassVar[str] = "Knowledge distillation with an easy-to-hard curriculum"
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of the teacher in the loss; the labels have the rest."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """Softening temperature T of both networks."""
    scoring: Scoring = "confidence"
    """What makes a sample easy: the teacher's confidence or margin in its label, or its entropy."""
    pacing: Pacing = "linear"
    """How the share in use grows."""
    start: Start = 0.3
    """Share of the samples in use at first."""
    full_at: FullAt = 0.5
    """Share of the training after which all samples are in use."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """KD's objectives on a curriculum."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": round(1 - self.alpha, 12)},
                {"name": "kd", "weight": self.alpha},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
            "curriculum": {
                "name": "easy_to_hard",
                "scoring": self.scoring,
                "pacing": self.pacing,
                "start": self.start,
                "full_at": self.full_at,
            },
        }


def easiness(logits: Tensor, labels: Tensor, *, scoring: Scoring = "confidence") -> Tensor:
    """Return how easy samples are `(N,)`, float64, of logits `(N, C)` and labels `(N,)`."""
    logits = logits.double()
    if scoring == "entropy":
        log_probs = F.log_softmax(logits, dim=-1)
        return (log_probs.exp() * log_probs).sum(-1)
    if scoring == "margin":
        logits = F.softmax(logits, dim=-1)
    target = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    others = without(logits, labels)
    return target - (others.amax(-1) if scoring == "margin" else others.logsumexp(-1))


def share_in_use(
    progress: float,
    *,
    pacing: Pacing = "linear",
    start: float = 0.3,
    full_at: float = 0.5,
    growth: float = 1.9,
) -> float:
    """Return the share of the samples in use, in [start, 1], at a progress in [0, 1]."""
    if progress >= full_at:
        return 1.0
    along = progress / full_at
    match pacing:
        case "linear":
            share = start + (1 - start) * along
        case "root":
            share = math.sqrt(start**2 + (1 - start**2) * along)
        case "quadratic":
            share = start + (1 - start) * along**2
        case "step":
            share = start
        case "exponential":
            growths = math.ceil(-math.log(start) / math.log(growth) - _ROUNDING)
            share = start * growth ** math.floor(growths * along + _ROUNDING)
    return min(share, 1.0)


def _by_class(scores: Tensor, classes: Tensor) -> Tensor:
    """Return scores `(N,)` that let every class give the same share of itself."""
    order = scores.argsort(descending=True, stable=True)
    grouped = order[classes[order].argsort(stable=True)]  # class by class, each from its easiest
    counts = classes.bincount()
    firsts = counts.cumsum(0) - counts
    rank = torch.empty_like(scores)
    places = torch.arange(len(scores), device=scores.device)
    rank[grouped] = (places - firsts[classes[grouped]]).to(scores.dtype)
    depth = (rank + 1) / counts[classes]
    order = order[depth[order].argsort(stable=True)]
    balanced = torch.empty_like(scores)
    balanced[order] = -(places + 1).to(scores.dtype)
    return balanced
