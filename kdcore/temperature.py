"""What a temperature is: how logits are softened into distributions before they are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kdcore.entry import Entry

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.tensors import Batch


@dataclass(frozen=True, slots=True)
class Softened:
    """Logits ready for a softmax, and the factor that keeps gradients at the size of hard ones."""

    student_logits: Tensor
    """`(B, C)`, divided by the student's temperature."""
    teacher_logits: Tensor
    """`(B, C)`, divided by the teacher's temperature."""
    scale: Tensor | float
    """`()` or `(B,)`: T squared for a common temperature (Hinton et al. 2015, section 2)."""


class Temperature(Entry):
    """One way to soften both networks' logits."""

    def soften(self, student_logits: Tensor, teacher_logits: Tensor, batch: Batch) -> Softened:
        """Soften logits `(B, C)` of both networks."""
        raise NotImplementedError
