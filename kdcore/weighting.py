"""What a weighting is: how much each sample counts in the terms that follow the teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.learned import Learner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class Weighting(Learner):
    """One way to weigh samples."""

    def weights(self, seen: Seen, heads: nn.Module | None) -> Tensor | None:
        """Return weights `(B,)`, without gradient, or None where all samples count alike."""
        raise NotImplementedError

    def own_loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor | None:
        """Return the loss `()` that the heads are trained by, or None where there are none."""
        return None
