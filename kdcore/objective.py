"""What an objective is: which knowledge of the teacher is compared with the student's, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from kdcore.learned import Learner
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class Objective(Learner):
    """One term of the training loss."""

    weight: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Factor of this term in the total loss."""
    warmup_epochs: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Epochs over which the weight grows linearly to its full value; counted from 1."""

    needs_teacher: ClassVar[bool] = True
    """False where the term looks at labels alone."""
    softens: ClassVar[bool] = False
    """True where the term reads softened logits, so that the temperature axis reaches it."""

    def taps(self) -> Taps:
        """Name the stages whose outputs the loss reads as features."""
        return Taps()

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """Return one loss a sample `(B,)`, or `()` where the samples are coupled; in nats.

        Weights of samples reach the first form alone. A stage without a teacher has only objectives
        that do not look at `seen.teacher` and `softened`.
        """
        raise NotImplementedError
