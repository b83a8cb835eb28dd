"""Plain convolutional network: stages of 3x3 convolutions, each ended by a pooling.

Formula
    for each stage: (conv 3x3, batch norm, ReLU) for each width, then max pool 2x2;
    then (linear, ReLU) for each hidden width, then linear
Shapes
    (B, channels, H, W) -> (B, C); H and W are halved by each stage
Paper
    The plain CNNs of Mirzadeh et al., with their stages written out. arXiv:1902.03393
Source
    imirzadeh/Teacher-Assistant-Knowledge-Distillation, model_factory.py and plain_cnn_cifar.py:
    `plain2` to `plain10` are its networks for CIFAR-100 (there `plane2` ...), and those that end
    in `_cifar10` the ones for CIFAR-10. There each convolution has a bias, which its batch norm
    takes away again; here it has none. Initial weights are torch's own, as there.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.errors import RecipeError
from kdcore.lazy import nn as layers
from kdcore.model import (
    Model,
    convolution_flops,
    convolution_parameters,
    image_shape,
    linear_flops,
    linear_parameters,
)

if TYPE_CHECKING:
    from torch import nn

    from kdcore.tensors import Shapes

Width = Annotated[int, Field(ge=1, le=8192)]

_CIFAR100: dict[str, dict[str, JsonValue]] = {
    "plain2": {"stages": [[32], [32]], "hidden": []},
    "plain4": {"stages": [[32, 32], [64, 64]], "hidden": []},
    "plain6": {"stages": [[32, 32], [64, 64], [128, 128]], "hidden": [], "pool_last": False},
    "plain8": {"stages": [[32, 32], [64, 64], [128, 128], [256, 256]], "hidden": [64]},
    "plain10": {
        "stages": [[32, 32], [64, 64], [128, 128], [256, 256, 256, 256]],
        "hidden": [512],
    },
}
_CIFAR10: dict[str, dict[str, JsonValue]] = {
    "plain2_cifar10": {"stages": [[16], [16]], "hidden": []},
    "plain4_cifar10": {"stages": [[16, 16], [32, 32]], "hidden": []},
    "plain6_cifar10": {"stages": [[16, 16], [32, 32], [64, 64]], "hidden": []},
    "plain8_cifar10": {"stages": [[16, 16], [32, 32], [64, 64], [128, 128]], "hidden": [64]},
    "plain10_cifar10": {
        "stages": [[32, 32], [64, 64], [128, 128], [256, 256, 256, 256]],
        "hidden": [128],
    },
}


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
    pool_last: bool = True
    """End the last stage with a pooling, too."""

    known: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {**_CIFAR100, **_CIFAR10}

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build `stage1` ..., `flatten`, `hidden1` ..., `head`."""
        channels, _, _ = image_shape(self.name, input_shape)
        (features,) = self.shapes(input_shape, num_classes)["flatten"]
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for place, widths in enumerate(self.stages, start=1):
            pooled = self.pool_last or place < len(self.stages)
            parts[f"stage{place}"] = self._stage(channels, widths, pooled=pooled)
            channels = widths[-1]
        parts["flatten"] = layers.Flatten()
        for place, wider in enumerate(self.hidden, start=1):
            parts[f"hidden{place}"] = layers.Sequential(
                layers.Linear(features, wider), layers.ReLU()
            )
            features = wider
        parts["head"] = layers.Linear(features, num_classes)
        return layers.Sequential(parts)

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return maps that each pooling halves, then vectors."""
        _, height, width = image_shape(self.name, input_shape)
        poolings = len(self.stages) - (not self.pool_last)
        if min(height, width) < 2**poolings:
            raise RecipeError(
                f"plain_cnn halves the image {poolings} times, "
                f"but the data is {height}x{width}; at least {2**poolings}x{2**poolings} is needed",
                hint="write fewer stages",
            )
        shapes: Shapes = {}
        for place, widths in enumerate(self.stages, start=1):
            halvings = min(place, poolings)
            shapes[f"stage{place}"] = (widths[-1], height >> halvings, width >> halvings)
        channels, height, width = shapes[f"stage{len(self.stages)}"]
        shapes["flatten"] = (channels * height * width,)
        hidden = {f"hidden{place}": (wider,) for place, wider in enumerate(self.hidden, start=1)}
        return {**shapes, **hidden, "head": (num_classes,)}

    def flops(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over convolutions and linear layers."""
        shapes = self.shapes(input_shape, num_classes)
        channels, height, width = image_shape(self.name, input_shape)
        total = 0
        for place, widths in enumerate(self.stages, start=1):
            for wider in widths:
                total += convolution_flops(height * width, channels, wider)
                channels = wider
            _, height, width = shapes[f"stage{place}"]
        behind = [*shapes["flatten"], *self.hidden, num_classes]
        return total + sum(linear_flops(*pair) for pair in itertools.pairwise(behind))

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over convolutions, with biases or batch norms, and linear layers."""
        (features,) = self.shapes(input_shape, num_classes)["flatten"]
        widths = [input_shape[0], *itertools.chain.from_iterable(self.stages)]
        convolutions = sum(convolution_parameters(*pair) for pair in itertools.pairwise(widths))
        if not self.batch_norm:
            convolutions -= sum(widths[1:])
        behind = [features, *self.hidden, num_classes]
        return convolutions + sum(linear_parameters(*pair) for pair in itertools.pairwise(behind))

    def between(self, teacher: Model) -> list[Model]:
        """Return the paper's networks between two of them for the same data."""
        ours, theirs = self.label(), teacher.label()
        for family in (_CIFAR100, _CIFAR10):
            if ours in family and theirs in family:
                labels = list(family)
                within = labels[labels.index(ours) + 1 : labels.index(theirs)]
                return [PlainCNN.model_validate(family[label]) for label in reversed(within)]
        return []

    def _stage(self, channels: int, widths: list[int], *, pooled: bool) -> nn.Sequential:
        stack: list[nn.Module] = []
        for wider in widths:
            stack.append(layers.Conv2d(channels, wider, 3, padding=1, bias=not self.batch_norm))
            if self.batch_norm:
                stack.append(layers.BatchNorm2d(wider))
            stack.append(layers.ReLU())
            channels = wider
        if pooled:
            stack.append(layers.MaxPool2d(2))
        return layers.Sequential(*stack)
