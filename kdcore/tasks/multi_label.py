"""Multi-label classification: each sample has any number of labels, each of them or not.

Formula
    average precision of a label = sum_n (R_n - R_{n-1}) P_n over the thresholds of its logit
    mean_average_precision = mean over the labels that some sample has
    micro_f1 = 2 TP / (2 TP + FP + FN) over all samples and labels, a label being given where its
    logit is above 0; agreement = share of samples and labels that the teacher decides alike
    loss = mean over samples and labels of the binary cross-entropy
Shapes
    logits (N, C); labels (N, C) integers 0 or 1; a row of -1 for "no labels" (training only)
Paper
    Yang, Xie, Zong, Feng, Niu, Sugiyama, Huang. Multi-Label Knowledge Distillation. 2023.
    arXiv:2308.06453
Source
    scikit-learn, sklearn/metrics/_ranking.py (average_precision_score) and _classification.py
    (f1_score, average="micro"); penghui-yang/L2D, src/helper_functions/helper_functions.py (mAP).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from kdcore.errors import DataError
from kdcore.examine_labels import examine_labels
from kdcore.lazy import F
from kdcore.objectives.binary_cross_entropy import BinaryCrossEntropy
from kdcore.scores import average_precisions, micro_f1, share
from kdcore.task import Said, Task
from kdcore.tensors import HIDDEN, is_known

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.dataset import Source
    from kdcore.quality import LabelQuality


class MultiLabel(Task):
    """Any number of labels a sample."""

    name: Literal["multi_label"] = "multi_label"

    metric: ClassVar[str] = "mean_average_precision"
    title: ClassVar[str] = "mean average precision"
    gives: ClassVar[str] = "a logit for each label"
    words: ClassVar[Mapping[str, str]] = {
        "cross_entropy": "binary_cross_entropy",
        "kd": "binary_kd",
    }

    def alone(self) -> BinaryCrossEntropy:
        """Binary cross-entropy with the labels."""
        return BinaryCrossEntropy()

    def hard(self, outputs: Tensor) -> Tensor:
        """Return the labels `(N, C)` that are more likely than not."""
        return (outputs > 0).long()

    def check(self, source: Source) -> None:
        """Refuse what is neither 0 nor 1, and labels that no training sample has, or all have."""
        for part, samples in source.parts().items():
            labels = samples.labels
            if labels.dim() != 2 or labels.is_floating_point():  # noqa: PLR2004  # samples, labels
                raise DataError(
                    f"the {part} part has labels of shape {tuple(labels.shape)}; multi_label "
                    "expects (samples, labels) of 0 and 1",
                    hint="give every label a column of its own",
                )
            hidden = (labels == HIDDEN).all(1) & (part == "training")
            odd = ((labels != 0) & (labels != 1)).any(1) & ~hidden
            if odd.any():
                place = int(odd.nonzero()[0])
                raise DataError(
                    f"{part} sample {place} has the labels {labels[place].tolist()[:10]}; expected "
                    "0 or 1 each" + (", or -1 for all of them" if part == "training" else "")
                )
        known = source.train.labels[is_known(source.train.labels)]
        idle = ((known == known[:1]).all(0)).nonzero().flatten()
        if len(idle) == known.shape[1]:
            raise DataError("all training samples have the same labels; that is nothing to learn")

    def score(
        self, outputs: Tensor, labels: Tensor, teacher_outputs: Tensor | None = None
    ) -> dict[str, float]:
        """See the formula of this file; the loss is in nats."""
        precisions = average_precisions(outputs, labels)
        known = precisions[precisions.isfinite()]
        scores = {
            "mean_average_precision": float(known.mean()) if len(known) else 0.0,
            "loss": float(F.binary_cross_entropy_with_logits(outputs.float(), labels.float())),
            "micro_f1": micro_f1(outputs, labels),
        }
        if teacher_outputs is not None:
            scores["agreement"] = share((outputs > 0) == (teacher_outputs > 0))
        return scores

    def examine(self, said: Said) -> LabelQuality:
        """Tell the precision of each label."""
        return examine_labels(said)
