"""What tasks count by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


def share(hits: Tensor) -> float:
    """Return the share of what is true, 0 to 1."""
    return float(hits.double().mean())


def micro_f1(outputs: Tensor, labels: Tensor) -> float:
    """Return F1 over all samples and labels `(N, C)`; 0 where nothing is there to be found."""
    given, there = outputs > 0, labels == 1
    right, wrong = float((given & there).sum()), float((given != there).sum())
    return 2 * right / max(2 * right + wrong, 1.0)


def average_precisions(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the average precision of each label `(C,)`, float64; NaN where no sample has it."""
    columns = [
        _average_precision(outputs[:, place], labels[:, place]) for place in range(labels.shape[1])
    ]
    return torch.stack(columns)


def _average_precision(logits: Tensor, labels: Tensor) -> Tensor:
    ordered, order = logits.sort(descending=True, stable=True)
    hits = labels[order].double().cumsum(0)
    # Samples with equal logits come in together: their order says nothing.
    last = torch.ones_like(ordered, dtype=torch.bool)
    last[:-1] = ordered[:-1] != ordered[1:]
    found = hits[last]
    places = last.nonzero().flatten() + 1
    gained = found.diff(prepend=found.new_zeros(1))
    return (gained * found / places).sum() / hits[-1]


def explained(outputs: Tensor, truth: Tensor) -> Tensor:
    """Return the share of variance that outputs `(N, T)` explain, `(T,)`, float64.

    Where the truth does not vary it is 1 if it is met, else 0.
    """
    truth = truth.double()
    missed = (truth - outputs.double()).square().sum(0)
    varied = (truth - truth.mean(0)).square().sum(0)
    share = 1 - missed / varied.clamp(min=1e-300)
    return share.where(varied > 0, (missed == 0).double())
