"""Mathematics that several entries share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kdcore.lazy import F, torch
from kdcore.tensors import HIDDEN, is_known

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.tensors import Batch


def kl_divergence(teacher_log_probs: Tensor, student_log_probs: Tensor) -> Tensor:
    """Return KL(teacher || student) of each row, log-probabilities `(B, C)` -> `(B,)`, in nats."""
    return F.kl_div(student_log_probs, teacher_log_probs, reduction="none", log_target=True).sum(-1)


def log_softmax(logits: Tensor) -> Tensor:
    """Return log-probabilities `(B, C)`; half precisions are widened to float32 first."""
    return F.log_softmax(widened(logits), dim=-1)


def widened(logits: Tensor) -> Tensor:
    """Return logits of half precision as float32, others as they are."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def without(logits: Tensor, labels: Tensor) -> Tensor:
    """Drop each row's target class: `(B, C)` -> `(B, C-1)`.

    Dropping is exact at every magnitude, where masking with a large number is not once logits are
    larger than the mask, and masking with minus infinity makes `kl_div` NaN.
    """
    places = torch.arange(logits.shape[1] - 1, device=logits.device)  # (C-1,)
    return logits.gather(1, places + (places >= labels.unsqueeze(1)))


def pooled(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Average maps `(B, C, H, W)` over equal parts: `(B, C, *size)`; as they are at that size."""
    height, width = maps.shape[2:]
    if (height, width) == size:
        return maps
    if height % size[0] or width % size[1]:
        return F.adaptive_avg_pool2d(maps, size)
    # The same numbers, and a gradient that is deterministic on every device.
    return F.avg_pool2d(maps, (height // size[0], width // size[1]))


def labels_loss(
    logits: Tensor, batch: Batch, *, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of logits `(B, C)` with the known part of each label, and that part.

    Both `(B,)`, the first in nats. The label of a mixed image is both labels by their shares; a
    hidden label has no part, so that what is left counts with its own share.
    """

    def one(labels: Tensor, share: Tensor | float) -> tuple[Tensor, Tensor]:
        loss = F.cross_entropy(
            widened(logits),
            labels,
            ignore_index=HIDDEN,
            label_smoothing=label_smoothing,
            reduction="none",
        )
        return loss * share, (labels != HIDDEN) * share

    if batch.mixed is None:
        return one(batch.labels, 1.0)
    own, known = one(batch.labels, batch.mixed.own)
    other, also_known = one(batch.mixed.labels, 1 - batch.mixed.own)
    return own + other, known + also_known


def mean_of_known(batch: Batch, losses: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the mean loss of the samples whose labels are known, `()`; 0 for none.

    `losses` makes one loss a sample `(B,)` of labels `(B, C)`. A mixed image has two, by its
    shares, as in `labels_loss`.
    """
    shares: list[tuple[Tensor, Tensor | float]] = [(batch.labels, 1.0)]
    if batch.mixed is not None:
        own = batch.mixed.own
        shares = [(batch.labels, own), (batch.mixed.labels, 1 - own)]
    known = [is_known(labels) * share for labels, share in shares]
    counted = [
        (losses(labels) * part).sum() for (labels, _), part in zip(shares, known, strict=True)
    ]
    return torch.stack(counted).sum() / torch.stack(known).sum().clamp(min=1)


def targets(labels: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return labels `(B,)`, each hidden one replaced by the best class of logits `(B, C)`."""
    return torch.where(labels == HIDDEN, teacher_logits.argmax(-1), labels)
