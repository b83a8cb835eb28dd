"""Random views of training images: batched tensor code with a counter-based generator.

A random number is a pure function of (seed, stream, sample, view): it depends neither on the batch
that a sample falls into nor on what was drawn before, so a stored output of a teacher belongs to
exactly one view, and a resumed run sees what the uninterrupted one saw.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.dataset import Augmentation

_SHIFT_Y, _SHIFT_X, _FLIP = range(3)
_MASK32 = 0xFFFFFFFF


def uniform(seed: int, stream: int, samples: Tensor, view: int) -> Tensor:
    """Return numbers in [0, 1) of resolution 2^-24, one for each sample index `(B,)`.

    Three rounds of the 32-bit finaliser lowbias32 (hash-prospector, public domain) over the four
    counters.
    """
    # Mixed before it meets the counters: seeds that are near each other share no sample's numbers.
    state = _mix(torch.full_like(samples, (seed ^ (stream * 0x9E3779B9)) & _MASK32))
    for counter in (samples & _MASK32, samples >> 32, torch.full_like(samples, view & _MASK32)):
        state = _mix(state ^ counter)
    return (state >> 8).to(torch.float32) / 2**24


def augmented(inputs: Tensor, index: Tensor, *, how: Augmentation, seed: int, view: int) -> Tensor:
    """Return the given view of images `(B, C, H, W)` whose sample indices are `index` `(B,)`."""
    if how.crop_padding:
        span = 2 * how.crop_padding + 1
        down, right = (
            (uniform(seed, stream, index, view) * span).long() - how.crop_padding
            for stream in (_SHIFT_Y, _SHIFT_X)
        )
        inputs = _shifted(inputs, down, right)
    if how.horizontal_flip:
        mirror = uniform(seed, _FLIP, index, view) < 0.5  # noqa: PLR2004  # half of the views
        inputs = torch.where(mirror[:, None, None, None], inputs.flip(-1), inputs)
    return inputs


def _shifted(inputs: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move each image by its own whole number of pixels `(B,)`, zeros coming in."""
    batch, channels, height, width = inputs.shape
    rows = torch.arange(height, device=inputs.device)[None, :] - down[:, None]  # (B, H)
    columns = torch.arange(width, device=inputs.device)[None, :] - right[:, None]  # (B, W)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    places = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    places = places.view(batch, 1, height * width).expand(-1, channels, -1)
    moved = inputs.flatten(2).gather(2, places).view_as(inputs)
    return moved * inside[:, None]


def _mix(state: Tensor) -> Tensor:
    """Scramble 32-bit numbers held in int64; a product may wrap, its low 32 bits are right."""
    state = ((state ^ (state >> 16)) * 0x7FEB352D) & _MASK32
    state = ((state ^ (state >> 15)) * 0x846CA68B) & _MASK32
    return state ^ (state >> 16)
