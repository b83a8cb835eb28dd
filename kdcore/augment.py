"""Random views of training images: batched tensor code with a counter-based generator.

A random number is a pure function of (seed, stream, sample, view): it depends neither on the batch
that a sample falls into nor on what was drawn before, so a stored output of a teacher belongs to
exactly one view, and a resumed run sees what the uninterrupted one saw.
"""

from __future__ import annotations

import torch
from torch import Tensor

from kdcore.counters import uniform
from kdcore.dataset import Augmentation

_SHIFT_Y, _SHIFT_X, _FLIP = range(3)


def augmented(  # noqa: PLR0913  # a view is a function of all of them
    inputs: Tensor,
    index: Tensor,
    *,
    how: Augmentation,
    seed: int,
    view: int,
    black: Tensor | None = None,
) -> Tensor:
    """Return the given view of images `(B, C, H, W)` whose sample indices are `index` `(B,)`.

    What comes in from beyond the border is `black` `(1,)` or `(C,)`, or 0 where it is not given.
    """
    if how.crop_padding:
        span = 2 * how.crop_padding + 1
        down, right = (
            (uniform(seed, stream, index, view) * span).long() - how.crop_padding
            for stream in (_SHIFT_Y, _SHIFT_X)
        )
        inputs = _shifted(inputs, down, right, black)
    if how.horizontal_flip:
        mirror = uniform(seed, _FLIP, index, view) < 0.5  # noqa: PLR2004  # half of the views
        inputs = torch.where(mirror[:, None, None, None], inputs.flip(-1), inputs)
    return inputs


def _shifted(inputs: Tensor, down: Tensor, right: Tensor, black: Tensor | None) -> Tensor:
    """Move each image by its own whole number of pixels `(B,)`, `black` coming in."""
    batch, channels, height, width = inputs.shape
    rows = torch.arange(height, device=inputs.device)[None, :] - down[:, None]  # (B, H)
    columns = torch.arange(width, device=inputs.device)[None, :] - right[:, None]  # (B, W)
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    places = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None, :]
    places = places.view(batch, 1, height * width).expand(-1, channels, -1)
    moved = inputs.flatten(2).gather(2, places).view_as(inputs)
    return torch.where(inside[:, None], moved, 0.0 if black is None else black[:, None, None])
