"""What a temperature is: how logits are softened into distributions before they are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdcore.learned import Learner

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.tensors import Seen


@dataclass(frozen=True, slots=True)
class Softened:
    """Logits ready for a softmax, and the factor that keeps gradients at the size of hard ones."""

    student_logits: Tensor
    """`(B, C)`, divided by the student's temperature."""
    teacher_logits: Tensor
    """`(B, C)`, divided by the teacher's temperature."""
    scale: Tensor | float
    """`()` or `(B,)`: T squared for a common temperature (Hinton et al. 2015, section 2)."""


class Temperature(Learner):
    """One way to soften both networks' logits."""

    def soften(self, seen: Seen, heads: nn.Module | None) -> Softened:
        """Soften the logits `(B, C)` of both networks."""
        raise NotImplementedError
