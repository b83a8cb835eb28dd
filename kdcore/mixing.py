"""Mixed images: two blended (mixup), or a box of one pasted into the other (CutMix).

Formula
    mixup: s x + (1 - s) x';  CutMix: x' within a box of about sqrt(1 - s) of each side, x elsewhere
    s ~ Beta(a, a), drawn as (1 + sign(c) sqrt((1 - p) c^2 / (p + (1 - p) c^2))) / 2 with
    p = u^(1/a), c = cos(2 pi v), u and v uniform; after CutMix s is the share of x that is left
Shapes
    images (B, C, H, W); partner, s (B,)
Paper
    Zhang, Cisse, Dauphin, Lopez-Paz. mixup: Beyond Empirical Risk Minimization. ICLR 2018.
    arXiv:1710.09412
    Yun, Han, Oh, Chun, Choe, Yoo. CutMix: Regularization Strategy to Train Strong Classifiers with
    Localizable Features. ICCV 2019. arXiv:1905.04899
    A teacher that is asked about the very image that the student sees: Beyer, Zhai, Royer,
    Markeeva, Anil, Kolesnikov. Knowledge Distillation: A Good Teacher Is Patient and Consistent.
    CVPR 2022. arXiv:2106.05237
    The symmetric beta distribution by two uniform numbers: Devroye. Random Variate Generation in
    One Line of Code. WSC 1996 (from Bailey's polar method for Student's t)
Source
    facebookresearch/mixup-cifar10, train.py; clovaai/CutMix-PyTorch, train.py (rand_bbox: the box
    about a uniform place, cut off at the border). There one s, one box and a permutation serve a
    whole batch. Here each view has its own, a function of (seed, sample, view), and its partner is
    any sample: so a view is the same in every batch, and what a teacher said of it can be kept.
    Both at once take turns evenly, by view, as huggingface/pytorch-image-models, timm/data/mixup.py
    (mode `elem`, switch_prob 0.5) does. Both images are cropped and mirrored before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdcore.counters import below, uniform
from kdcore.dataset import Augmentation

_PARTNER, _WHETHER, _WHICH, _RADIUS, _ANGLE, _ROW, _COLUMN = range(16, 23)
_FINEST = 2**16
"""Shares are multiples of 1 / 2^16: the last bits of a power are not the same on every device."""


@dataclass(frozen=True, slots=True)
class Mix:
    """What is mixed into the samples of a batch."""

    partner: Tensor
    """`(B,)`, int64: places of the other images."""
    own: Tensor
    """`(B,)` in [0, 1], float32: how much is left of the image itself, and so of its label."""
    blend: Tensor | None
    """`(B,)`: the image's factor in a blend, 1 where it is not blended; None where none is."""
    box: Tensor | None
    """`(B, H, W)`, True where the other image is pasted over; None where nothing is."""


def drawn_mix(  # noqa: PLR0913  # a view is a function of all of them
    index: Tensor,
    *,
    how: Augmentation,
    seed: int,
    view: int,
    partners: int,
    size: Sequence[int],
) -> Mix:
    """Draw what is mixed into the samples `(B,)`, of `partners` samples and `(H, W)` pixels."""

    def number(stream: int) -> Tensor:
        return uniform(seed, stream, index, view)

    apart = number(_WHETHER) >= how.mixup_prob
    blend = box = None
    pasted = number(_WHICH) < 0.5 if how.mixup and how.cutmix else None  # noqa: PLR2004  # evenly
    if how.mixup:
        blend = _beta(how.mixup, number(_RADIUS), number(_ANGLE)).float()
        blend = blend.masked_fill(apart if pasted is None else apart | pasted, 1.0)
    if how.cutmix:
        places = [
            below(length, seed, stream, index, view)
            for length, stream in zip(size, (_ROW, _COLUMN), strict=True)
        ]
        box = _box(_beta(how.cutmix, number(_RADIUS), number(_ANGLE)), places, size)
        away = apart if pasted is None else apart | ~pasted
        box &= ~away[:, None, None]
    own = torch.ones(len(index), device=index.device) if blend is None else blend
    if box is not None:
        # In float64 a whole number of pixels is exact; the quotient is rounded alike everywhere.
        covered = box.sum((1, 2), dtype=torch.float64)
        own = own * (1 - covered / math.prod(size)).float()
    return Mix(below(partners, seed, _PARTNER, index, view), own, blend, box)


def mixed(images: Tensor, others: Tensor, mix: Mix) -> Tensor:
    """Return images `(B, C, H, W)` with the others mixed in."""
    shown = images
    if mix.blend is not None:
        own = mix.blend[:, None, None, None]
        shown = images * own + others * (1 - own)
    if mix.box is not None:
        shown = torch.where(mix.box[:, None], others, shown)
    return shown


def _beta(alpha: float, radius: Tensor, angle: Tensor) -> Tensor:
    """Return float64 numbers of Beta(alpha, alpha) `(B,)`, made of two uniform ones."""
    # Half a step away from 0, where the power would be 0 for a large exponent and all the same.
    power = (radius.double() + 2**-25).pow(1 / alpha)
    cosine = (2 * math.pi * angle.double()).cos()
    reach = (1 - power) * cosine.square()
    share = (1 + cosine.sign() * (reach / (power + reach)).sqrt()) / 2
    return (share * _FINEST).round() / _FINEST


def _box(share: Tensor, places: Sequence[Tensor], size: Sequence[int]) -> Tensor:
    """Return boxes `(B, H, W)` about places, of the share of the area that `share` leaves."""
    sides = (1 - share).sqrt()
    inside: list[Tensor] = []
    for place, length in zip(places, size, strict=True):
        half = (length * sides).long() // 2
        pixels = torch.arange(length, device=share.device)[None, :]
        first, behind = (place - half)[:, None], (place + half)[:, None]
        inside.append((pixels >= first) & (pixels < behind))
    rows, columns = inside
    return rows[:, :, None] & columns[:, None, :]
