"""Random numbers that are a pure function of what they are for.

A number is drawn by (seed, stream, sample, view), so it depends neither on the order of the data
nor on the device nor on what was drawn before: a resumed or reordered run draws the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

_MASK32 = 0xFFFFFFFF


def uniform(seed: int, stream: int, samples: Tensor, view: int) -> Tensor:
    """Return numbers in [0, 1) of resolution 2^-24, one for each sample index `(B,)`."""
    return (_drawn(seed, stream, samples, view) >> 8).to(torch.float32) / 2**24


def below(count: int, seed: int, stream: int, samples: Tensor, view: int) -> Tensor:
    """Return whole numbers in [0, count), one for each sample index `(B,)`; count is below 2^31.

    The high half of a product: exact on every device, and no number is favoured by more than
    count / 2^32.
    """
    return (_drawn(seed, stream, samples, view) * count) >> 32


def _drawn(seed: int, stream: int, samples: Tensor, view: int) -> Tensor:
    """Return 32 random bits for each sample, held in int64.

    Three rounds of the 32-bit finaliser lowbias32 (hash-prospector, public domain) over the four
    counters.
    """
    # Mixed before it meets the counters: seeds that are near each other share no sample's numbers.
    state = _mix(torch.full_like(samples, (seed ^ (stream * 0x9E3779B9)) & _MASK32))
    for counter in (samples & _MASK32, samples >> 32, torch.full_like(samples, view & _MASK32)):
        state = _mix(state ^ counter)
    return state


def _mix(state: Tensor) -> Tensor:
    """Scramble 32-bit numbers held in int64; a product may wrap, its low 32 bits are right."""
    state = ((state ^ (state >> 16)) * 0x7FEB352D) & _MASK32
    state = ((state ^ (state >> 15)) * 0x846CA68B) & _MASK32
    return state ^ (state >> 16)
