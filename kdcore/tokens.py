"""Texts as networks are given them: ids of tokens, padded to one length.

A text is one tensor of whole numbers, as an image is one of floats, so that every network still
takes one tensor. What a network must know of it beside its length, how many ids there are and which
of them stands for no token, travels in the shape: whoever does not look for it sees a plain tuple.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from kdcore.lazy import torch

if TYPE_CHECKING:
    from pydantic import JsonValue
    from torch import Tensor


class Ids(tuple[int, ...]):  # noqa: SLOT001  # a tuple may have none but empty ones
    """The shape `(L,)` of a text of up to L tokens, int64 in [0, vocabulary)."""

    vocabulary: int
    """How many ids there are."""
    pad: int
    """The id behind a text's end."""
    separator: int | None
    """The id that ends each of two texts, where the network is to tell them apart."""

    def __new__(
        cls, length: int, *, vocabulary: int, pad: int, separator: int | None = None
    ) -> Self:
        """Make the shape of texts of `length` tokens."""
        made = super().__new__(cls, (length,))
        made.vocabulary, made.pad, made.separator = vocabulary, pad, separator
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Let what is known beside the length go through a copy, and to other processes."""
        return read_ids, (list(self), self.told())

    def told(self) -> dict[str, JsonValue]:
        """Return what is known beside the length, to be written down."""
        return {"vocabulary": self.vocabulary, "pad": self.pad, "separator": self.separator}


def read_ids(shape: list[int], told: Mapping[str, Any]) -> Ids:
    """Return the shape of which `Ids.told` told."""
    (length,) = shape
    return Ids(length, **told)


def blank(
    shape: tuple[int, ...],
    count: int,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return `count` inputs of a shape that say nothing, `(count, *shape)`.

    Numbers are 0, and of `dtype`; tokens are any that is no padding, since a text has at least one.
    """
    if not isinstance(shape, Ids):
        return torch.zeros(count, *shape, device=device, dtype=dtype)
    token = 0 if shape.pad else min(1, shape.vocabulary - 1)
    return torch.full((count, *shape), token, device=device, dtype=torch.int64)


def in_numbers(inputs: Tensor, dtype: torch.dtype) -> Tensor:
    """Return inputs as a network of such numbers takes them; ids stay what they are."""
    return inputs.to(dtype) if inputs.is_floating_point() else inputs
