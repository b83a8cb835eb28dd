"""Regression: each sample has one number, or several.

Formula
    r2 = mean over the targets of 1 - sum (y - z)^2 / sum (y - mean y)^2: the share of the
    variance that is explained, 0 for the mean and below it for worse
    loss = mean (y - z)^2; agreement = the same share with the teacher's answers in the place of y
    Targets are standardised by mean and std of the training part; r2 is the same in any unit.
Shapes
    outputs (N, T), labels (N, T) float32; NaN for "not known" (training only)
Paper
    Ba, Caruana. Do Deep Nets Really Need to be Deep? 2014. arXiv:1312.6184
Source
    scikit-learn, sklearn/metrics/_regression.py (r2_score, multioutput="uniform_average")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from kdcore.errors import DataError
from kdcore.examine_targets import examine_targets
from kdcore.objectives.squared_error import SquaredError
from kdcore.scores import explained
from kdcore.task import Said, Task
from kdcore.tensors import is_known

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.dataset import Source
    from kdcore.quality import TargetQuality


class Regression(Task):
    """One number a sample, or several."""

    name: Literal["regression"] = "regression"

    metric: ClassVar[str] = "r2"
    title: ClassVar[str] = "R²"
    gives: ClassVar[str] = "a number for each target"
    has_hard_answers: ClassVar[bool] = False
    words: ClassVar[Mapping[str, str]] = {"cross_entropy": "squared_error", "kd": "mimic"}

    def alone(self) -> SquaredError:
        """Squared error to the labels."""
        return SquaredError()

    def hard(self, outputs: Tensor) -> Tensor:
        """Return them as they are."""
        return outputs

    def check(self, source: Source) -> None:
        """Refuse targets that are infinite, unknown outside of training, or all alike."""
        for part, samples in source.parts().items():
            labels = samples.labels
            if labels.dim() != 2 or not labels.is_floating_point():  # noqa: PLR2004
                raise DataError(
                    f"the {part} part has labels of shape {tuple(labels.shape)} and type "
                    f"{labels.dtype}; regression expects (samples, targets) of numbers"
                )
            bad = labels.isinf().any(1)
            if part != "training":
                bad |= labels.isnan().any(1)
            if bad.any():
                raise DataError(
                    f"{int(bad.sum())} {part} samples have no finite target, the first at "
                    f"{bad.nonzero().flatten().tolist()[:5]}",
                    hint="repair or leave out these samples; in the training part alone, a missing "
                    "target is a sample without a label",
                )
            known = labels[is_known(labels)]
            same = (known == known[:1]).all(0)
            if same.any():
                raise DataError(
                    f"target {int(same.nonzero()[0])} is the same for all {part} samples; that is "
                    "nothing to learn or to measure"
                )

    def score(
        self, outputs: Tensor, labels: Tensor, teacher_outputs: Tensor | None = None
    ) -> dict[str, float]:
        """See the formula of this file."""
        outputs = outputs.double()
        scores = {
            "r2": float(explained(outputs, labels).mean()),
            "loss": float((outputs - labels).square().mean()),
        }
        if teacher_outputs is not None:
            scores["agreement"] = float(explained(outputs, teacher_outputs).mean())
        return scores

    def examine(self, said: Said) -> TargetQuality:
        """Tell the errors in each target."""
        return examine_targets(said)
