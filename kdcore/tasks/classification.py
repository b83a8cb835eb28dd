"""Classification: each sample is of one class.

Formula
    accuracy = share of samples whose largest logit is the label's
    loss = mean of -log softmax(z)_y; agreement = share of samples with the teacher's largest logit
Shapes
    logits (N, C); labels (N,) integers in [0, C), -1 for "no label" (training only, or
    a whole part: then the teacher's largest logit is the label)
Paper
    Hinton, Vinyals, Dean. Distilling the Knowledge in a Neural Network. 2015. arXiv:1503.02531
Source
    scikit-learn, sklearn/metrics/_classification.py (accuracy_score, log_loss) computes the same
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Literal, cast

from kdcore.errors import DataError
from kdcore.examine import examine
from kdcore.lazy import F, torch
from kdcore.objectives.cross_entropy import CrossEntropy
from kdcore.scores import share
from kdcore.task import Said, Task
from kdcore.tensors import HIDDEN

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.dataset import Source
    from kdcore.quality import ClassQuality

_MAX_CLASSES: Final = 100_000
_MAX_GAP: Final = 2
_FEWEST_CLASSES: Final = 2


class Classification(Task):
    """One class a sample."""

    name: Literal["classification"] = "classification"

    metric: ClassVar[str] = "accuracy"
    title: ClassVar[str] = "accuracy"
    gives: ClassVar[str] = "logits of the classes"

    def alone(self) -> CrossEntropy:
        """Cross-entropy with the labels."""
        return CrossEntropy()

    def hard(self, outputs: Tensor) -> Tensor:
        """Return the best class `(N,)`."""
        return outputs.argmax(1)

    def check(self, source: Source) -> None:
        """Refuse labels that are negative, leave wide gaps, or name fewer than two classes."""
        parts = source.parts()
        for part, samples in parts.items():
            labels = samples.labels
            if labels.dim() != 1 or labels.is_floating_point():
                raise DataError(
                    f"the {part} part has labels of shape {tuple(labels.shape[1:])} a sample; "
                    "classification expects one class",
                    hint="set task to multi_label or regression, or give one class a sample",
                )
            lowest = int(labels.min())
            # Outside of the training part all samples have a label, or the teacher answers for all.
            may_hide = part == "training" or bool((labels == HIDDEN).all())
            if lowest < (HIDDEN if may_hide else 0):
                raise DataError(
                    f"the {part} part has the label {lowest}; labels count from 0, and -1 says "
                    "that there is none"
                    + ("" if part == "training" else ", which has to be so of all or of no sample")
                )
        train = source.train.labels
        named = train[train != HIDDEN]
        if len(named) and bool((named == named[:1]).all()):
            raise DataError(
                "the training labels name fewer than two classes; that is nothing to learn"
            )
        if source.num_classes < _FEWEST_CLASSES:
            raise DataError(
                f"no training sample has a label, and {source.num_classes} classes are told "
                "otherwise; expected two or more",
                hint="label some samples, or tell the classes, as data.num_classes of arrays does",
            )
        labels = torch.cat([samples.labels for samples in parts.values()])
        known = cast("Tensor", labels[labels != HIDDEN].unique())
        highest, present = int(labels.max()), len(known)
        if highest >= _MAX_CLASSES or highest + 1 > _MAX_GAP * present:
            raise DataError(
                f"the labels go up to {highest} and name {present} classes; "
                "they are to count from 0 without wide gaps",
                hint="number the classes 0, 1, 2 and so on",
            )

    def score(
        self, outputs: Tensor, labels: Tensor, teacher_outputs: Tensor | None = None
    ) -> dict[str, float]:
        """See the formula of this file; the loss is in nats."""
        best = outputs.argmax(1)
        scores = {
            "accuracy": share(best == labels),
            "loss": float(F.cross_entropy(outputs.float(), labels)),
        }
        if teacher_outputs is not None:
            scores["agreement"] = share(best == teacher_outputs.argmax(1))
        return scores

    def examine(self, said: Said) -> ClassQuality:
        """Tell calibration, classes, confusion and the worst disagreements."""
        return examine(said)
