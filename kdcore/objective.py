"""What an objective is: which knowledge of the teacher is compared with the student's, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.learned import Learner
from kdcore.model import Model
from kdcore.training import Training

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen

Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class Tutor:
    """A training that comes before the student's: something is learned about the frozen teacher."""

    model: Model
    """A network around the teacher's; it teaches in the teacher's place."""
    objectives: tuple[Objective, ...]
    training: Training


class Objective(Learner):
    """One term of the training loss."""

    weight: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Factor of this term in the total loss."""
    warmup_epochs: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Epochs over which the weight grows linearly to its full value; counted from 1."""
    begin: Share = 0.0
    """Share of the training after which the term counts."""
    end: Share = 1.0
    """Share of the training after which it does not count any more."""

    needs_teacher: ClassVar[bool] = True
    """False where the term looks at labels alone."""
    softens: ClassVar[bool] = False
    """True where the term reads softened logits, so that the temperature axis reaches it."""
    couples_samples: ClassVar[bool] = False
    """True where samples are compared with each other: weights of samples cannot reach the term."""
    convolves: ClassVar[bool] = False
    """True where learned layers take much of a step: they multiply in the student's numbers."""
    needs_tokens: ClassVar[bool] = False
    """True where layers of a transformer are read, as in an encoder of texts."""
    smallest_batch: ClassVar[int] = 1
    """The fewest samples that the term says something about."""

    @classmethod
    def serves(cls, task: str) -> bool:
        """Return whether it has a meaning in a task; softened logits are taken for classes too."""
        if cls.tasks is None and cls.softens:
            return task == "classification"
        return super().serves(task)

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.begin >= self.end:
            raise PydanticCustomError(
                "empty_window",
                "found begin {begin} and end {end}; expected begin below end",
                {"begin": self.begin, "end": self.end},
            )
        return self

    def student_model(self, student: Model, teacher: Model) -> Model:
        """Return what is trained and delivered in the student's place; the student as it is."""
        return student

    def tutor(self, teacher: Model, training: Training) -> Tutor | None:
        """Return what is to be learned about the teacher first; `training` is the student's."""
        return None

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """Return one loss a sample `(B,)`, or `()` where the samples are coupled; in nats.

        Weights of samples reach the first form alone. A stage without a teacher has only objectives
        that do not look at `seen.teacher` and `softened`.
        """
        raise NotImplementedError
