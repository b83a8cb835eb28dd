"""Mathematics that several entries share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.lazy import F, torch

if TYPE_CHECKING:
    from torch import Tensor


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
