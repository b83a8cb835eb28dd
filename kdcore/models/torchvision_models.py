"""Networks of torchvision, by torchvision's names.

Formula
    torchvision.models.get_model(architecture, num_classes=C); for other than three channels the
    first convolution is drawn anew, for these
Shapes
    (B, channels, H, W) -> (B, C); layers are named by their paths, such as `layer4.1.conv2`
Paper
    The library's own: TorchVision maintainers and contributors. 2016. Each architecture there
    names its paper.
Source
    pytorch/vision, torchvision/models/_api.py (`get_model`, `list_models`): classification models
    alone, without auxiliary heads. Its weights are fetched by the trainer; layers whose shapes
    differ, so the head and a first convolution for other channels, are new. Needs the extra
    `vision` where the job runs: a spec is refused (422) where workers live and none of them has it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import Field

from kdcore.errors import RecipeError, UnreachableError
from kdcore.lazy import nn as layers
from kdcore.model import Foreign, Model, image_shape
from kdcore.preparation import Expected

if TYPE_CHECKING:
    from torch import nn

_NEAR = 3
_COLOURS = 3
_WITH_HELPERS = {"googlenet", "inception_v3"}
"""Architectures that have auxiliary heads unless told otherwise."""


class Torchvision(Foreign):
    """A network of torchvision, such as `resnet18` or `mobilenet_v3_small`."""

    name: Literal["torchvision"] = "torchvision"
    extra: ClassVar[str | None] = "vision"
    architecture: Annotated[
        str, Field(max_length=64, pattern=r"^[a-z0-9_]+$", examples=["resnet18"])
    ]
    """torchvision's name of it."""
    pretrained: bool = False
    """Begin with the published weights, which the trainer fetches."""

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
        """Build torchvision's network."""
        from kdcore.vision import first_line

        channels, height, width = image_shape(self.name, input_shape)
        options = self._options(input_shape)
        models = self._models()
        try:
            network = models.get_model(
                self.architecture, weights=None, num_classes=num_classes, **options
            )
        except Exception as error:  # noqa: BLE001  # what torchvision finds wrong is of any kind
            raise RecipeError(
                f"torchvision cannot build {self.architecture} for images of "
                f"{channels}x{height}x{width} with {num_classes} classes: {first_line(error)}",
                hint="take another architecture, or images of another size",
            ) from None
        if channels != _COLOURS:
            _take_channels(network, channels)
        return network

    def furnish(self, network: nn.Module, input_shape: tuple[int, ...], num_classes: int) -> None:
        """Fetch the published weights, if asked for; what they do not fit stays new."""
        from kdcore.vision import first_line

        if not self.pretrained:
            return
        try:
            published = self._models().get_model_weights(self.architecture).DEFAULT
            state = published.get_state_dict(progress=False, check_hash=True)
        except Exception as error:  # noqa: BLE001  # what the network does is of any kind
            raise UnreachableError(
                f"the published weights of {self.architecture} cannot be fetched: "
                f"{first_line(error)}"
            ) from None
        own = network.state_dict()
        fitting = {
            name: value
            for name, value in state.items()
            if name in own and own[name].shape == value.shape
        }
        network.load_state_dict(own | fitting)

    def expects(self) -> Expected | None:
        """Return mean and std of the transforms of the architecture's published weights.

        Raises:
            RecipeError: torchvision has no such architecture.
        """
        prepare = self._models().get_model_weights(self.architecture).DEFAULT.transforms()
        return Expected(tuple(prepare.mean), tuple(prepare.std))

    def delivered(self) -> Model:
        """Return the same without published weights."""
        return self.model_copy(update={"pretrained": False})

    def opened(self, input_shape: tuple[int, ...], num_classes: int) -> str:
        """Return how torchvision opens it, for three channels."""
        options = "".join(f", {name}={one!r}" for name, one in self._options(input_shape).items())
        if input_shape[0] != _COLOURS:
            return ""
        return (
            "from safetensors.torch import load_file\n"
            "from torchvision.models import get_model\n\n"
            f'student = get_model("{self.architecture}", num_classes={num_classes}{options})\n'
            'student.load_state_dict(load_file("student.safetensors"))\n'
            "student.eval()"
        )

    def _options(self, input_shape: tuple[int, ...]) -> dict[str, Any]:
        """Return what some architectures have to be told besides."""
        _, height, width = input_shape
        if self.architecture.startswith("vit_"):
            return {"image_size": height}
        if self.architecture.startswith("maxvit_"):
            return {"input_size": (height, width)}
        if self.architecture in _WITH_HELPERS:
            return {"aux_logits": False, "init_weights": True}
        return {}

    def _models(self) -> Any:
        from kdcore.vision import import_torchvision, unknown_architecture

        models = import_torchvision().models
        known: list[str] = models.list_models(module=models)
        if self.architecture not in known:
            near = difflib.get_close_matches(self.architecture, known, _NEAR)
            raise unknown_architecture("torchvision", self.architecture, near)
        return models


def _take_channels(network: nn.Module, channels: int) -> None:
    """Put a new convolution for so many channels in the place of the first one."""
    path, first = next(
        (path, cast("Any", one))
        for path, one in cast("Iterable[tuple[str, nn.Module]]", network.named_modules())
        if isinstance(one, layers.Conv2d)
    )
    parent, _, name = path.rpartition(".")
    anew = layers.Conv2d(
        channels,
        first.out_channels,
        first.kernel_size,
        first.stride,
        first.padding,
        bias=first.bias is not None,
    )
    network.get_submodule(parent).register_module(name, anew)
