"""Mimic learning: meet the teacher's outputs themselves, before any softmax.

Formula
    L = mean over c of (t_c - z_c)^2
Shapes
    student, teacher outputs (B, C), logits or numbers; result (B,), 0 where they are equal
Paper
    Ba, Caruana. Do Deep Nets Really Need to be Deep? 2014. arXiv:1312.6184, equation 1
    For numbers: Saputra, de Gusmao, Almalioglu, Markham, Trigoni. Distilling Knowledge From a Deep
    Pose Regressor Network. 2019. arXiv:1908.00858
Source
    yoshitomo-matsubara/torchdistill, configs of nn.MSELoss between logits. The mean over outputs;
    the paper adds them up and halves the sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kdcore.functional import widened
from kdcore.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kdcore.temperature import Softened
    from kdcore.tensors import Seen


class Mimic(Objective):
    """Meet the teacher's outputs as they are."""

    name: Literal["mimic"] = "mimic"

    def loss(self, seen: Seen, softened: Softened, heads: nn.Module | None) -> Tensor:
        """See the formula of this file."""
        apart = widened(seen.teacher.logits) - widened(seen.student.logits)
        return apart.square().mean(-1)


def mimic_loss(student_outputs: Tensor, teacher_outputs: Tensor) -> Tensor:
    """Return the mean loss of outputs `(B, C)`, a scalar."""
    return (teacher_outputs - student_outputs).square().mean()
