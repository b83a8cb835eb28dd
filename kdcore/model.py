"""What a model is: a typed description that builds a network of named stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.entry import Entry
from kdcore.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

    from kdcore.tensors import Shapes

_IMAGE_DIMENSIONS = 3


def image_shape(model: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return channels, height and width of what a network of images is given.

    Raises:
        RecipeError: it is no image.
    """
    if len(input_shape) != _IMAGE_DIMENSIONS:
        raise RecipeError(
            f"{model} takes images (channels, height, width); found shape {input_shape}",
            hint="use model mlp for flat inputs",
        )
    channels, height, width = input_shape
    return channels, height, width


def convolution_parameters(channels: int, wider: int, size: int = 3, *, groups: int = 1) -> int:
    """Return the numbers of a convolution without bias, and of the batch norm behind it."""
    return channels * wider * size**2 // groups + 2 * wider


def linear_parameters(inputs: int, outputs: int) -> int:
    """Return the numbers of a linear layer with bias."""
    return (inputs + 1) * outputs


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

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return the shape of each stage's output for one sample, by arithmetic alone.

        So a recipe can be checked where torch is not installed.

        Raises:
            RecipeError: the architecture cannot take inputs of this shape.
        """
        raise NotImplementedError

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return how many numbers of the network are trained, by arithmetic alone.

        Raises:
            RecipeError: the architecture cannot take inputs of this shape.
        """
        raise NotImplementedError

    def between(self, teacher: Model) -> list[Model]:
        """Return sizes of this architecture between itself and a larger one, largest first."""
        return []

    def inherit(self, network: nn.Sequential, teacher: nn.Sequential) -> None:
        """Take over weights of the teacher, and freeze them, where the architecture says so."""
