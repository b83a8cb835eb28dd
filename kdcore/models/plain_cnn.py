"""Plain convolutional network: stages of 3x3 convolutions, each ended by a pooling.

Formula
    for each stage: (conv 3x3, batch norm, ReLU) for each width, then max pool 2x2;
    then (linear, ReLU) for each hidden width, then linear
Shapes
    (B, channels, H, W) -> (B, C); H and W are halved by each stage
Paper
    The plain CNNs of Mirzadeh et al., with their stages written out. arXiv:1902.03393
Source
    imirzadeh/Teacher-Assistant-Knowledge-Distillation, model_factory.py and plane_cifar.py
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from kdcore.errors import RecipeError
from kdcore.lazy import nn as layers
from kdcore.model import Model, image_shape

if TYPE_CHECKING:
    from torch import nn

Width = Annotated[int, Field(ge=1, le=8192)]


class PlainCNN(Model):
    """Stages of 3x3 convolutions and poolings, then linear layers."""

    name: Literal["plain_cnn"] = "plain_cnn"
    stages: Annotated[
        list[Annotated[list[Width], Field(min_length=1, max_length=16)]],
        Field(min_length=1, max_length=8),
    ] = [[32], [64]]
    """Channels of the convolutions of each stage; a pooling ends each stage."""
    hidden: Annotated[list[Width], Field(max_length=8)] = [128]
    """Widths of the linear layers between the last stage and the head."""
    batch_norm: bool = True
    """Normalise after each convolution."""

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build `stage1` ..., `flatten`, `hidden1` ..., `head`."""
        channels, height, width = image_shape(self.name, input_shape)
        shrink = 2 ** len(self.stages)
        if height < shrink or width < shrink:
            raise RecipeError(
                f"plain_cnn halves the image {len(self.stages)} times, "
                f"but the data is {height}x{width}; at least {shrink}x{shrink} is needed",
                hint="write fewer stages",
            )
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for place, widths in enumerate(self.stages, start=1):
            parts[f"stage{place}"] = self._stage(channels, widths)
            channels = widths[-1]
        parts["flatten"] = layers.Flatten()
        features = channels * (height // shrink) * (width // shrink)
        for place, wider in enumerate(self.hidden, start=1):
            parts[f"hidden{place}"] = layers.Sequential(
                layers.Linear(features, wider), layers.ReLU()
            )
            features = wider
        parts["head"] = layers.Linear(features, num_classes)
        return layers.Sequential(parts)

    def _stage(self, channels: int, widths: list[int]) -> nn.Sequential:
        stack: list[nn.Module] = []
        for wider in widths:
            stack.append(layers.Conv2d(channels, wider, 3, padding=1, bias=not self.batch_norm))
            if self.batch_norm:
                stack.append(layers.BatchNorm2d(wider))
            stack.append(layers.ReLU())
            channels = wider
        return layers.Sequential(*stack, layers.MaxPool2d(2))
