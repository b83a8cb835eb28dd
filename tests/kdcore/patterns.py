"""Tensors that a formula describes, for numbers of the authors' code; and losses by name."""

import math
from types import MappingProxyType

import torch
from torch import Tensor

from kdcore.objectives.at import at_loss
from kdcore.objectives.fitnet import fitnet_loss
from kdcore.objectives.nst import nst_loss
from kdcore.objectives.pkt import pkt_loss
from kdcore.objectives.rkd import rkd_loss
from kdcore.objectives.sp import sp_loss

LOSSES = MappingProxyType(
    {
        "fitnet": fitnet_loss,
        "at": at_loss,
        "sp": sp_loss,
        "rkd": rkd_loss,
        "pkt": pkt_loss,
        "nst": nst_loss,
    }
)


def line(shape: tuple[int, ...], step: int, modulus: int, shift: float) -> Tensor:
    """Return flat i -> ((step i) mod modulus) / modulus - shift."""
    places = torch.arange(math.prod(shape))
    return ((step * places % modulus).double() / modulus - shift).view(shape)


def scramble(shape: tuple[int, ...], step: int, modulus: int) -> Tensor:
    """Return flat i -> ((step i^2 + 3 i + 1) mod modulus) / modulus - 1/2."""
    places = torch.arange(math.prod(shape))
    numbers = (step * places * places + 3 * places + 1) % modulus
    return (numbers.double() / modulus - 0.5).view(shape)


F_S, F_T = line((3, 2, 2, 2), 7, 11, 0.3), line((3, 3, 2, 2), 5, 13, 0.4)
POOLED_S, POOLED_T = F_S.mean((2, 3)), F_T.mean((2, 3))
MAPS_S, MAPS_T = scramble((6, 4, 8, 8), 5, 251), scramble((6, 5, 4, 4), 7, 241)
VECTORS_S, VECTORS_T = scramble((6, 7), 13, 89), scramble((6, 9), 11, 97)


def rkd_distance(student: Tensor, teacher: Tensor) -> Tensor:
    return rkd_loss(student, teacher, distance_weight=1, angle_weight=0)


def rkd_angle(student: Tensor, teacher: Tensor) -> Tensor:
    return rkd_loss(student, teacher, distance_weight=0, angle_weight=1)
