"""VGG for small images: convolutions 3x3 with batch norm, and one linear layer.

Formula
    five groups of (conv 3x3, batch norm, ReLU) with 64, 128, 256, 512 and 512 channels, max pool
    2x2 before the second, third and fourth of them, and before the fifth where the image has a
    side of 64 or more; then global average pooling and a linear head
Shapes
    (B, channels, H, W) -> (B, C)
Paper
    Simonyan, Zisserman. Very Deep Convolutional Networks for Large-Scale Image Recognition. 2014.
    arXiv:1409.1556
Source
    HobbitLong/RepDistiller, models/vgg.py (`vgg8_bn` and its siblings); megvii-research/mdistiller,
    mdistiller/models/cifar/vgg.py: equal numbers of parameters, equal outputs with equal weights.
    That code has the last pooling at a height of exactly 64; here it is from 64 on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import JsonValue

from kdcore.errors import RecipeError
from kdcore.lazy import nn as layers
from kdcore.model import (
    Model,
    areas_of,
    convolution_flops,
    convolution_parameters,
    image_shape,
    linear_flops,
    linear_parameters,
)

if TYPE_CHECKING:
    from torch import nn

    from kdcore.tensors import Shapes

_CHANNELS = (64, 128, 256, 512, 512)
_CONVOLUTIONS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_LEAST = 8
_LARGE = 64


class VGG(Model):
    """Five groups of convolutions with batch norm; `vgg13` is depth 13."""

    name: Literal["vgg"] = "vgg"
    depth: Literal[8, 11, 13, 16, 19] = 8
    """Layers with weights; the usual three linear layers at the end count, and are one here."""

    known: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {
        f"vgg{depth}": {"depth": depth} for depth in _CONVOLUTIONS
    }

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build `stem`, `stage1` to `stage4`, `pool`, `head`."""
        from kdcore.layers import averaged, draw_convolutions

        channels, _, _ = image_shape(self.name, input_shape)
        poolings = self._poolings(input_shape)
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for place, (wider, convolutions) in enumerate(
            zip(_CHANNELS, _CONVOLUTIONS[self.depth], strict=True)
        ):
            stack: list[nn.Module] = [layers.MaxPool2d(2)] if 0 < place <= poolings else []
            for _ in range(convolutions):
                stack.append(layers.Conv2d(channels, wider, 3, padding=1))
                stack += [layers.BatchNorm2d(wider), layers.ReLU()]
                channels = wider
            parts[_name(place)] = layers.Sequential(*stack)
        parts["pool"] = averaged()
        head = layers.Linear(channels, num_classes)
        parts["head"] = head
        network = layers.Sequential(parts)
        draw_convolutions(network)
        layers.init.normal_(head.weight, std=0.01)
        layers.init.zeros_(head.bias)
        return network

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return maps that each pooling halves, rounded down, then vectors."""
        _, height, width = image_shape(self.name, input_shape)
        poolings = self._poolings(input_shape)
        shapes: Shapes = {
            _name(place): (wider, height >> min(place, poolings), width >> min(place, poolings))
            for place, wider in enumerate(_CHANNELS)
        }
        return {**shapes, "pool": (_CHANNELS[-1],), "head": (num_classes,)}

    def flops(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over convolutions and linear layers."""
        areas = areas_of(self.shapes(input_shape, num_classes))
        width, total = image_shape(self.name, input_shape)[0], 0
        for place, wider in enumerate(_CHANNELS):
            for _ in range(_CONVOLUTIONS[self.depth][place]):
                total += convolution_flops(areas[_name(place)], width, wider)
                width = wider
        return total + linear_flops(width, num_classes)

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over the convolutions, which have biases as well, and the head."""
        width, total = image_shape(self.name, input_shape)[0], 0
        for wider, convolutions in zip(_CHANNELS, _CONVOLUTIONS[self.depth], strict=True):
            for _ in range(convolutions):
                total += convolution_parameters(width, wider) + wider
                width = wider
        return total + linear_parameters(width, num_classes)

    def _poolings(self, input_shape: tuple[int, ...]) -> int:
        _, height, width = image_shape(self.name, input_shape)
        if min(height, width) < _LEAST:
            raise RecipeError(
                f"vgg halves the image 3 times, but the data is {height}x{width}; "
                f"at least {_LEAST}x{_LEAST} is needed",
                hint="take a model that pools less, such as resnet, or plain_cnn with few stages",
            )
        return 4 if min(height, width) >= _LARGE else 3


def _name(place: int) -> str:
    return f"stage{place}" if place else "stem"
