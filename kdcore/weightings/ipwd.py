"""Inverse probability weighting (IPWD): follow the teacher more on what it under-represents.

Formula
    w_i = 1 + H(cls_i, y_i) / H(kd_i, y_i), at most `largest`, without gradient
    H(z, y) = -log softmax(Z(z))_y;  Z(z) = (z - mean z) / std z over the classes of a sample
    cls, kd: two linear heads on the student's embedding, learned by
    mean_i( CE(cls_i, y_i) + T^2 KL( softmax(z_t / T) || softmax(kd_i / T) ) )
    The method: L = CE + alpha T^2 * mean_i( w_i KL( softmax(z_t / T) || softmax(z_s / T) ) )
Shapes
    embedding (B, D); heads' logits (B, C); labels (B,) in [0, C); result (B,) in [1, largest], 2
    where the heads agree, unless `normalised`. A hidden label is the teacher's best class.
Paper
    Niu, Chen, Zhou, Zhang. Respecting Transfer Gap in Knowledge Distillation. NeurIPS 2022.
    arXiv:2210.12787
Source
    None: no code was released, and we found no other. Checked against the abstract and two digests
    of the paper, not its full text. They give the weight, the inverse of the estimated probability
    that a sample belongs to what the teacher shows, 1 + H(cls, y) / H(kd, y); that of two heads on
    one backbone one is trained by classification and one by distillation, at the cost of one linear
    layer; and that standardised logits and separate heads both matter (table 5).
    OUR reading of what is left open:
    - Both heads are extra ones and are dropped at export; the student's own head learns by the
      objectives, as ever. (With one more layer alone, as there, one of the two would be the
      student's own, which learns from the labels and the teacher at once.)
    - The heads do not teach the backbone, unless `shared_backbone`: the method's objectives bring
      it the labels and the weighed distillation already, once each.
    - Z is by sample, with the population's deviation; no temperature.
    - The weights are not normalised in the batch, unless `normalised`: so the formula stands as it
      is, and KD is about twice as strong as without weights.
    - Standardised logits keep H above 0 and finite, yet a ratio may reach thousands; it is bounded.
    - Both heads start alike, so that every sample has weight 2 before anything is learned.
    - alpha = 1 and T = 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, cast

from pydantic import Field, JsonValue

from kdcore.functional import kl_divergence, log_softmax, targets, widened, without
from kdcore.lazy import F, nn, torch
from kdcore.method import Method, Pair
from kdcore.stages import embedding
from kdcore.tensors import Taps
from kdcore.weighting import Weighting

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen, Sizes

Largest = Annotated[float, Field(ge=2, le=1e6)]


class IPWD(Weighting):
    """Follow the teacher more on the samples that it under-represents."""

    name: Literal["ipwd"] = "ipwd"
    largest: Largest = 10.0
    """Upper bound of a weight, before it is normalised; at least 2."""
    normalised: bool = False
    """Divide the weights by their mean in the batch, so that KD is as strong as without them."""
    shared_backbone: bool = False
    """Let the heads' own loss train the student's backbone too."""

    needs_labels: ClassVar[bool] = True

    def taps(self, sizes: Sizes) -> Taps:
        """Read what the student's head is given."""
        return Taps(student=(embedding(sizes.student, "student"),))

    def heads(self, sizes: Sizes) -> nn.Module:
        """Return the two heads, which start alike."""
        (width,) = sizes.student[embedding(sizes.student, "student")]
        heads = nn.ModuleDict({name: nn.Linear(width, sizes.num_classes) for name in ("cls", "kd")})
        heads["kd"].load_state_dict(heads["cls"].state_dict())
        return heads

    def weights(self, seen: Seen, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        with torch.no_grad():
            cls_logits, kd_logits = _logits(_embedding(seen), heads)
        return ipwd_weights(
            cls_logits,
            kd_logits,
            targets(seen.batch.labels, seen.teacher.logits),
            largest=self.largest,
            normalised=self.normalised,
        )

    def own_loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """Return what the heads learn by, `()` in nats: one the labels, one the teacher."""
        features = _embedding(seen)
        cls_logits, kd_logits = _logits(
            features if self.shared_backbone else features.detach(), heads
        )
        labels = targets(seen.batch.labels, seen.teacher.logits)
        kd_logits = widened(kd_logits)
        # The student's temperature squared, by sample or for all; the heads do not teach it.
        scale = torch.as_tensor(softened.scale, dtype=kd_logits.dtype, device=kd_logits.device)
        scale = scale.detach()
        divergence = kl_divergence(
            log_softmax(softened.teacher_logits.detach()),
            log_softmax(kd_logits / scale.sqrt().reshape(-1, 1)),
        )
        return F.cross_entropy(widened(cls_logits), labels) + (scale * divergence).mean()


class IPWDMethod(Method):
    """Labels with full weight, and KD weighed by sample."""

    name: Literal["ipwd"] = "ipwd"
    title: ClassVar[str] = "Inverse probability weighting distillation"
    alpha: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Factor of the weighed term."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """Softening temperature T of both networks."""
    largest: Largest = 10.0
    """Upper bound of a weight."""
    normalised: bool = False
    """Divide the weights by their mean in the batch."""
    shared_backbone: bool = False
    """Let the heads that the weights are made of train the student's backbone too."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """CE + alpha T^2 w KL."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": 1.0},
                {"name": "kd", "weight": self.alpha},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
            "weighting": {
                "name": "ipwd",
                "largest": self.largest,
                "normalised": self.normalised,
                "shared_backbone": self.shared_backbone,
            },
        }


def ipwd_weights(
    cls_logits: Tensor,
    kd_logits: Tensor,
    labels: Tensor,
    *,
    largest: float = 10.0,
    normalised: bool = False,
) -> Tensor:
    """Return weights `(B,)` without gradient of the heads' logits `(B, C)` and labels `(B,)`."""
    by_labels, by_teacher = (
        _standardised_cross_entropy(logits.detach(), labels) for logits in (cls_logits, kd_logits)
    )
    weights = 1 + (by_labels / by_teacher).clamp(max=largest - 1)
    return weights / weights.mean() if normalised else weights


def _standardised_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return H `(B,)` of logits `(B, C)`, above 0."""
    logits = widened(logits)
    tiny = torch.finfo(logits.dtype).tiny
    centred = logits - logits.mean(-1, keepdim=True)
    deviation = centred.pow(2).mean(-1, keepdim=True).sqrt()
    standardised = centred / deviation.clamp_min(tiny)
    # -log softmax as a softplus: it does not round to 0 where the label is all but certain.
    target = standardised.gather(1, labels.unsqueeze(1)).squeeze(1)
    others = without(standardised, labels).logsumexp(-1)
    return F.softplus(others - target).clamp_min(tiny)


def _embedding(seen: Seen) -> Tensor:
    return seen.student.features[seen.taps.student[0]]


def _logits(features: Tensor, heads: nn.Module | None) -> tuple[Tensor, Tensor]:
    """Return the logits `(B, C)` of both heads."""
    both = cast("nn.ModuleDict", heads)
    return both["cls"](features), both["kd"](features)
