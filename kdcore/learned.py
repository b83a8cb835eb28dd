"""What an entry of an axis may bring along: layers that are trained with the student."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.entry import Entry

if TYPE_CHECKING:
    from torch import nn

    from kdcore.tensors import Sizes


class Learner(Entry):
    """An entry whose computation may have learned parts."""

    def heads(self, sizes: Sizes) -> nn.Module | None:
        """Return layers that are trained and checkpointed with the student, or None.

        They are made once for each teacher, and dropped at export.
        """
        return None
