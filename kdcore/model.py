"""What a model is: a typed description that builds a network.

Ours are sequences of named stages, and tell shapes and numbers by arithmetic. A foreign model is
whatever another library builds: its layers are named by their paths, and known once it is built.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import JsonValue

from kdcore.entry import Entry
from kdcore.errors import RecipeError
from kdcore.preparation import Expected, Feed

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


def stages_of(model: Model, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
    """Return the shapes of a model's stages, for what takes a network to pieces.

    Raises:
        RecipeError: it cannot take inputs of this shape.
    """
    shapes = model.shapes(input_shape, num_classes)
    assert shapes is not None  # noqa: S101  # need_stages was asked when the route was planned
    return shapes


def need_stages(model: Model, asking: str, pointer: str) -> None:
    """Refuse a foreign network where an objective takes networks to pieces.

    Raises:
        RecipeError: it is foreign.
    """
    if model.foreign:
        raise RecipeError(
            f"found {asking}, which takes the network to pieces, and {model.name}, a network of "
            "another library; expected one that is made of stages",
            hint="take a model such as resnet there, or another objective on features",
            pointer=pointer,
        )


def convolution_parameters(channels: int, wider: int, size: int = 3, *, groups: int = 1) -> int:
    """Return the numbers of a convolution without bias, and of the batch norm behind it."""
    return channels * wider * size**2 // groups + 2 * wider


def linear_parameters(inputs: int, outputs: int) -> int:
    """Return the numbers of a linear layer with bias."""
    return (inputs + 1) * outputs


def areas_of(shapes: Shapes) -> dict[str, int]:
    """Return how many places each map (channels, height, width) has, by stage."""
    return {
        stage: shape[1] * shape[2]
        for stage, shape in shapes.items()
        if len(shape) == _IMAGE_DIMENSIONS
    }


def convolution_flops(
    area: int, channels: int, wider: int, size: int = 3, *, groups: int = 1
) -> int:
    """Return the operations of a convolution onto `area` places, two for each multiply-add."""
    return 2 * area * channels * wider * size**2 // groups


def linear_flops(inputs: int, outputs: int) -> int:
    """Return the operations of a linear layer for one sample, two for each multiply-add."""
    return 2 * inputs * outputs


@functools.cache
def _known(model: type[Model]) -> list[tuple[str, Model]]:
    """Return the settings that have names, read once: every spec is compared with them."""
    return [(label, model.model_validate(fields)) for label, fields in model.known.items()]


class Model(Entry):
    """One architecture with its sizes."""

    foreign: ClassVar[bool] = False
    """True where another library builds it, so that layers, shapes and numbers are not known before
    that: whoever can build it checks what is checked of others by arithmetic."""

    reads_texts: ClassVar[bool] = False
    """True where it may take ids of tokens (`kdcore.tokens.Ids`)."""

    names_a_folder: ClassVar[bool] = False
    """True where the network is described by the files of a folder, and not by the recipe."""

    @property
    def learns(self) -> bool:
        """Whether it can be trained; where it cannot, it can teach alone."""
        return True

    @property
    def comes_trained(self) -> bool:
        """Whether it brings weights for the data's classes: as a teacher it needs no training."""
        return False

    def located(self, inputs: Path) -> Model:
        """Return the same with the files that it names looked for under a folder."""
        return self

    def files(self) -> tuple[str, ...]:
        """Return the files that it names, relative to that folder; others make another network."""
        return ()

    def expects(self) -> Expected | None:
        """Return the pixels that its weights were trained on, where anything says so.

        Nothing is fetched for it.

        Raises:
            RecipeError: the network is not known, or its folder is not to be understood.
        """
        return None

    def library_config(self, network: nn.Module, feed: Feed) -> dict[str, JsonValue]:
        """Return what the library that it is from wants to find in a delivered `config.json`."""
        return {}

    def library_files(
        self, files: Mapping[str, bytes], network: nn.Module, feed: Feed
    ) -> Mapping[str, bytes]:
        """Return what the data brings along, by name, as that library wants to find it.

        And what else the library looks for in a folder.
        """
        return files

    def library_weights(self) -> str | None:
        """Return the name under which that library looks for the weights, if for none of ours."""
        return None

    def opened(self, input_shape: tuple[int, ...], num_classes: int) -> str:
        """Return Python that opens a delivered `student` by the library it is from, if by any."""
        return ""

    def label(self) -> str:
        """Return the name that the field has for these settings, or the entry's own."""
        return next((label for label, known in _known(type(self)) if self == known), self.name)

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Return a network from `(B, *input_shape)` to logits `(B, num_classes)`.

        Unless it is foreign it is a sequence (`nn.Sequential`) of named stages, so a feature is the
        output of a stage and needs no hook; the last stage is `head`.

        Raises:
            RecipeError: the architecture cannot take inputs of this shape.
        """
        raise NotImplementedError

    def furnish(self, network: nn.Module, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Give a network that was just built the weights that the description names, if any.

        Raises:
            WeightsError: they do not fit.
            UnreachableError: they cannot be fetched.
        """

    def heads(self, network: nn.Module) -> tuple[str, ...]:
        """Return the paths of the modules that make logits, and depend on how many there are."""
        *_, last = network.state_dict()
        return (last.rpartition(".")[0],)

    def delivered(self) -> Model:
        """Return what builds an equal network out of itself, without files or anything fetched."""
        return self

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes | None:
        """Return the shape of each stage's output for one sample, by arithmetic alone.

        So a recipe can be checked where torch is not installed. None where it is foreign.

        Raises:
            RecipeError: the architecture cannot take inputs of this shape.
        """
        raise NotImplementedError

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int | None:
        """Return how many numbers of the network are trained, by arithmetic alone; None as above.

        Raises:
            RecipeError: the architecture cannot take inputs of this shape.
        """
        raise NotImplementedError

    def flops(self, input_shape: tuple[int, ...], num_classes: int) -> int | None:
        """Return the operations for one sample, by arithmetic alone; None where nobody wrote it.

        Two for each multiply-add of convolutions and linear layers, as `kdcore.evaluate` counts.

        Raises:
            RecipeError: the architecture cannot take inputs of this shape.
        """
        return None

    def between(self, teacher: Model) -> list[Model]:
        """Return sizes of this architecture between itself and a larger one, largest first."""
        return []

    def inherit(self, network: nn.Module, teacher: nn.Module) -> None:
        """Take over weights of the teacher, and freeze them, where the architecture says so."""


class Foreign(Model):
    """A network of another library, for images; nothing is known of it before it is built."""

    foreign = True

    def label(self) -> str:
        """Return its library's name, with that of the architecture or file where it has one."""
        fields = self.model_dump(include={"architecture", "path"})
        return " ".join([self.name, *map(str, fields.values())])

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes | None:
        """Return None.

        Raises:
            RecipeError: inputs are no images.
        """
        image_shape(self.name, input_shape)
        return None

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int | None:
        """Return None; it raises as `shapes` does."""
        image_shape(self.name, input_shape)
        return None
