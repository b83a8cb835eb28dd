"""What a model is: a typed description that builds a network of named stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.entry import Entry

if TYPE_CHECKING:
    from torch import nn


class Model(Entry):
    """One architecture with its sizes."""

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Return a network from `(B, *input_shape)` to logits `(B, num_classes)`.

        It is a sequence of named stages, so a feature is the output of a stage and needs no hook;
        the last stage is `head`.

        Raises:
            RecipeError: the architecture cannot take inputs of this shape.
        """
        raise NotImplementedError
