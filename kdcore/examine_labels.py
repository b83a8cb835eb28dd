"""Looking closely at several labels a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, cast

from kdcore.lazy import torch
from kdcore.quality import LabelQuality, LabelScore
from kdcore.scores import average_precisions, micro_f1, share
from kdcore.task import Said

if TYPE_CHECKING:
    from torch import Tensor

_MOST: Final = 1_000


def examine_labels(said: Said) -> LabelQuality:
    """Examine what networks said of a test part of several labels a sample."""
    labels = said.samples.labels
    return LabelQuality(
        seed=said.seed,
        labels=_labels(said),
        micro_f1={name: micro_f1(logits, labels) for name, logits in said.networks.items()},
        exact={
            name: share(((logits > 0) == (labels == 1)).all(1))
            for name, logits in said.networks.items()
        },
    )


def _labels(said: Said) -> list[LabelScore]:
    labels = said.samples.labels
    counts = (labels == 1).sum(0)

    def mean(several: Sequence[Tensor]) -> Tensor:
        return torch.stack([average_precisions(one, labels) for one in several]).mean(0)

    teacher, student = mean([said.teacher]), mean([*said.students.values()])
    baseline = mean([*said.baselines.values()]) if said.baselines else teacher
    changed = (student - teacher).abs().nan_to_num(-1)
    chosen = changed.argsort(descending=True, stable=True)[:_MOST].sort().values
    return [
        LabelScore(
            label=place,
            name=said.called[place],
            count=int(counts[place]),
            teacher=float(teacher[place]),
            student=float(student[place]),
            baseline=float(baseline[place]) if said.baselines else None,
        )
        for place in cast("list[int]", chosen.tolist())
        if counts[place]
    ]
