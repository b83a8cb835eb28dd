"""Looking closely at what networks said of the test part."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from kdcore.lazy import torch
from kdcore.quality import Bin, Calibration, ClassQuality, ClassScore, Disagreement
from kdcore.task import Said

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.dataset import Samples

_BINS: Final = 15
_MOST_CLASSES: Final = 1_000
_MOST_CONFUSED: Final = 200
_SHOWN: Final = 12
_IMAGE_DIMENSIONS: Final = 3
_LARGEST_SIDE: Final = 96
_LONGEST_TEXT: Final = 280


def examine(said: Said) -> ClassQuality:
    """Examine what networks said of a test part of one class a sample."""
    labels, student, teacher = said.samples.labels, said.students[said.seed], said.teacher
    called = said.called
    right = teacher.argmax(1) == labels, student.argmax(1) == labels
    return ClassQuality(
        seed=said.seed,
        calibration={name: calibration(logits, labels) for name, logits in said.networks.items()},
        classes=_classes(
            labels, teacher, [*said.students.values()], [*said.baselines.values()], called
        ),
        confusion=confusion(student, labels),
        both_right=int((right[0] & right[1]).sum()),
        only_teacher=int((right[0] & ~right[1]).sum()),
        only_student=int((right[1] & ~right[0]).sum()),
        neither=int((~right[0] & ~right[1]).sum()),
        disagreements=_disagreements(said.samples, student, right[0] & ~right[1], called),
    )


def calibration(logits: Tensor, labels: Tensor, bins: int = _BINS) -> Calibration:
    """Return how sure and how right logits `(N, C)` are, in bins of equal width.

    Guo, Pleiss, Sun, Weinberger. On Calibration of Modern Neural Networks. arXiv:1706.04599,
    equations 2 and 3; gpleiss/temperature_scaling, temperature_scaling.py.
    """
    confidence, answer = logits.double().softmax(1).max(1)
    hit = (answer == labels).double()
    # The upper bound belongs to a bin, as in the paper.
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    count = torch.zeros(bins, dtype=torch.float64, device=logits.device)
    sure, good = count.clone(), count.clone()
    count.index_add_(0, place, torch.ones_like(confidence))
    sure.index_add_(0, place, confidence)
    good.index_add_(0, place, hit)
    error = float((good - sure).abs().sum() / len(labels))
    rows = zip(_list(count), _list(sure), _list(good), strict=True)
    return Calibration(
        ece=error,
        bins=[
            Bin(confidence=total / number, accuracy=hits / number, count=int(number))
            for number, total, hits in rows
            if number
        ],
    )


def confusion(logits: Tensor, labels: Tensor) -> list[list[int]] | None:
    """Return how often each label `(N,)` was answered how; None for more than 200 classes."""
    classes = logits.shape[1]
    if classes > _MOST_CONFUSED:
        return None
    pairs = labels * classes + logits.argmax(1)
    counts = cast("Any", pairs).bincount(minlength=classes**2).view(classes, classes)
    return cast("list[list[int]]", counts.tolist())


def _classes(
    labels: Tensor,
    teacher: Tensor,
    students: Sequence[Tensor],
    baselines: Sequence[Tensor],
    names: Sequence[str],
) -> list[ClassScore]:
    size = teacher.shape[1]
    counts = cast("Any", labels).bincount(minlength=size).double()

    def recognised(several: Sequence[Tensor]) -> Tensor:
        hits = torch.zeros(size, dtype=torch.float64, device=labels.device)
        for logits in several:
            hits.index_add_(0, labels, (logits.argmax(1) == labels).double())
        return hits / (len(several) * counts.clamp(min=1))

    scores = recognised([teacher]), recognised(students), recognised(baselines or [teacher])
    changed = (scores[1] - scores[0]).abs().masked_fill(counts == 0, -1)
    chosen = changed.argsort(descending=True, stable=True)[:_MOST_CLASSES].sort().values
    columns = [_list(column[chosen]) for column in (counts, *scores)]
    return [
        ClassScore(
            label=int(label),
            name=names[int(label)],
            count=int(count),
            teacher=teachers,
            student=ours,
            baseline=alone if baselines else None,
        )
        for label, count, teachers, ours, alone in zip(_list(chosen), *columns, strict=True)
        if count
    ]


def _disagreements(
    samples: Samples, student: Tensor, wrong: Tensor, names: Sequence[str]
) -> list[Disagreement]:
    confidence, answer = student.double().softmax(1).max(1)
    order = confidence.masked_fill(~wrong, -1).argsort(descending=True, stable=True)
    worst = order[: min(_SHOWN, int(wrong.sum()))]
    return [
        Disagreement(
            sample=int(place),
            label=names[int(samples.labels[place])],
            answer=names[int(answer[place])],
            confidence=float(confidence[place]),
            picture=None if samples.texts else picture(samples.inputs[place]),
            text=_shortened(samples.texts[int(place)]) if samples.texts else None,
        )
        for place in worst
    ]


def _shortened(text: str) -> str:
    """Return the beginning of a text."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[: _LONGEST_TEXT - 1]}…"


def picture(sample: Tensor) -> str | None:
    """Return one image `(1 or 3, H, W)` as a PNG in base64; None for what is no image."""
    from PIL import Image

    if sample.dim() != _IMAGE_DIMENSIONS or sample.shape[0] not in {1, _IMAGE_DIMENSIONS}:
        return None
    if max(sample.shape[1:]) > _LARGEST_SIDE:
        height, width = (min(side, _LARGEST_SIDE) for side in sample.shape[1:])
        sample = torch.nn.functional.adaptive_avg_pool2d(sample.float(), (height, width))
    low, high = sample.min(), sample.max()
    scaled = (sample - low) / (high - low).clamp(min=1e-12) * 255
    values = scaled.round().to(torch.uint8).permute(1, 2, 0).squeeze(2).cpu().numpy()
    content = io.BytesIO()
    Image.fromarray(values).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def _list(values: Tensor) -> list[float]:
    return cast("list[float]", values.tolist())
