"""What a weighting is: how much each sample counts in the terms that follow the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.learned import Learner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.tensors import Seen


class Weighting(Learner):
    """One way to weigh samples."""

    def weights(self, seen: Seen, heads: nn.Module | None) -> Tensor | None:
        """Return weights `(B,)` with mean near 1, or None where all samples count alike."""
        raise NotImplementedError
