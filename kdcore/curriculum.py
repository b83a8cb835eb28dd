"""What a curriculum is: in which order a student meets its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.entry import Entry

if TYPE_CHECKING:
    from torch import Tensor


class Curriculum(Entry):
    """A score for each sample, and the share of them that the student may draw from."""

    def scores(self, teacher_logits: Tensor, labels: Tensor) -> Tensor | None:
        """Return how easy each sample is `(N,)`, larger is easier; None where all are alike.

        `teacher_logits` `(N, C)` are of the samples without augmentation, the mean over the
        teachers; `labels` `(N,)` are those that the student may see, or `HIDDEN`.
        """
        raise NotImplementedError

    def share(self, progress: float) -> float:
        """Return the share of the easiest samples in use when `progress` of the steps is done.

        It grows from above 0 to 1.
        """
        raise NotImplementedError
