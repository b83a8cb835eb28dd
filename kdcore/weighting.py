"""What a weighting is: how much each sample counts in the terms that follow the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.entry import Entry

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.tensors import Batch, Outputs


class Weighting(Entry):
    """One way to weigh samples."""

    def weights(self, student: Outputs, teacher: Outputs, batch: Batch) -> Tensor | None:
        """Return weights `(B,)` with mean near 1, or None where all samples count alike."""
        raise NotImplementedError
