"""What an entry of an axis may read and bring along: features of stages, and learned layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from kdcore.entry import Entry
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import nn

    from kdcore.tensors import Sizes


class Learner(Entry):
    """An entry that takes part in the computation of the loss."""

    needs_labels: ClassVar[bool] = False
    """True where labels are read; a hidden one is left out, or the teacher's guess is taken."""
    mixes_labels: ClassVar[bool] = False
    """True where the label of a mixed image is read as both labels by their shares; whoever reads
    labels otherwise is refused beside mixup and cutmix."""
    needs_indices: ClassVar[bool] = False
    """True where something is remembered by sample."""

    @classmethod
    def serves(cls, task: str) -> bool:
        """Return whether it has a meaning in a task; what reads labels takes them for classes."""
        if cls.tasks is None and cls.needs_labels:
            return task == "classification"
        return super().serves(task)

    def taps(self, sizes: Sizes) -> Taps:
        """Name the stages whose outputs are read as features.

        Raises:
            RecipeError: a network lacks the stage, or its shape is none that can be used.
        """
        return Taps()

    def heads(self, sizes: Sizes) -> nn.Module | None:
        """Return layers that are trained and checkpointed with the student, or None.

        They are made once for each teacher, and dropped at export.
        """
        return None
