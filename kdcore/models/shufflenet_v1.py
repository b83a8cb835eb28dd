"""ShuffleNet for small images: grouped 1x1 convolutions, and channels shuffled between them.

Formula
    conv 1x1 to 24 channels, then three stages of 4, 8 and 4 units; a unit is relu(x + f(x)), the
    first of a stage relu([f(x), average pool 3x3 of x]) at stride 2, with f = (grouped 1x1, batch
    norm, ReLU, shuffle, 3x3 on each channel, batch norm, ReLU, grouped 1x1, batch norm) and a
    quarter of the outputs inside; then global average pooling and a linear head
Shapes
    (B, channels, H, W) -> (B, C); H and W are halved by each stage, rounded up
Paper
    Zhang, Zhou, Lin, Sun. ShuffleNet: An Extremely Efficient Convolutional Neural Network for
    Mobile Devices. 2017. arXiv:1707.01083
Source
    HobbitLong/RepDistiller, models/ShuffleNetv1.py (`ShuffleV1`); megvii-research/mdistiller,
    mdistiller/models/cifar/ShuffleNetv1.py: equal numbers of parameters, equal outputs with equal
    weights. As there, and unlike the paper, the stem is 1x1 without pooling, a ReLU follows the
    convolution on each channel, and a first unit has a quarter of what it adds inside; so the
    paper's 4 and 8 groups do not divide, and are not offered. Initial weights are torch's own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import JsonValue

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

_STEM = 24
_UNITS = (4, 8, 4)
_CHANNELS = {1: (144, 288, 576), 2: (200, 400, 800), 3: (240, 480, 960)}


class ShuffleNetV1(Model):
    """Three stages of units with grouped 1x1 convolutions."""

    name: Literal["shufflenet_v1"] = "shufflenet_v1"
    groups: Literal[1, 2, 3] = 3
    """Groups of the 1x1 convolutions; the channels follow from it, as in the paper's table."""

    known: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {
        "shufflenet_v1_g1": {"groups": 1},
        "shufflenet_v1_g2": {"groups": 2},
    }

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build `stem`, `stage1` to `stage3`, `pool`, `head`."""
        from kdcore.layers import averaged, convolution

        image_channels, _, _ = image_shape(self.name, input_shape)
        stem = layers.Sequential(*convolution(image_channels, _STEM, 1), layers.ReLU())
        parts: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
        channels = _STEM
        for place, (wider, units) in enumerate(
            zip(_CHANNELS[self.groups], _UNITS, strict=True), start=1
        ):
            first = self._first(channels, wider, groups=1 if place == 1 else self.groups)
            rest = [self._unit(wider) for _ in range(units - 1)]
            parts[f"stage{place}"] = layers.Sequential(first, *rest)
            channels = wider
        parts["pool"] = averaged()
        parts["head"] = layers.Linear(channels, num_classes)
        return layers.Sequential(parts)

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return maps that each stage halves, rounded up, then vectors."""
        _, height, width = image_shape(self.name, input_shape)
        shapes: Shapes = {"stem": (_STEM, height, width)}
        for place, channels in enumerate(_CHANNELS[self.groups], start=1):
            height, width = -(-height // 2), -(-width // 2)
            shapes[f"stage{place}"] = (channels, height, width)
        return {**shapes, "pool": (_CHANNELS[self.groups][-1],), "head": (num_classes,)}

    def flops(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over convolutions and linear layers."""
        areas = areas_of(self.shapes(input_shape, num_classes))
        width, before = _STEM, areas["stem"]
        total = convolution_flops(before, image_shape(self.name, input_shape)[0], width, 1)
        for place, wider in enumerate(_CHANNELS[self.groups], start=1):
            after, groups = areas[f"stage{place}"], 1 if place == 1 else self.groups
            total += self._block_flops((before, after), width, wider - width, groups)
            rest = self._block_flops((after, after), wider, wider, self.groups)
            total += (_UNITS[place - 1] - 1) * rest
            width, before = wider, after
        return total + linear_flops(width, num_classes)

    def _block_flops(self, areas: tuple[int, int], channels: int, wider: int, groups: int) -> int:
        (before, after), inner = areas, wider // 4
        total = convolution_flops(before, channels, inner, 1, groups=groups)
        total += convolution_flops(after, inner, inner, groups=inner)
        return total + convolution_flops(after, inner, wider, 1, groups=self.groups)

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over stem, units and head."""
        total = convolution_parameters(image_shape(self.name, input_shape)[0], _STEM, 1)
        width = _STEM
        for wider, units in zip(_CHANNELS[self.groups], _UNITS, strict=True):
            total += self._block_parameters(
                width, wider - width, groups=1 if width == _STEM else self.groups
            )
            total += (units - 1) * self._block_parameters(wider, wider, groups=self.groups)
            width = wider
        return total + linear_parameters(width, num_classes)

    def _block_parameters(self, channels: int, wider: int, groups: int) -> int:
        inner = wider // 4
        total = convolution_parameters(channels, inner, 1, groups=groups)
        total += convolution_parameters(inner, inner, groups=inner)
        return total + convolution_parameters(inner, wider, 1, groups=self.groups)

    def _first(self, channels: int, wider: int, groups: int) -> nn.Module:
        """Return the unit that halves the map; the stem's few channels are not grouped."""
        from kdcore.layers import Concatenation

        pooled = layers.AvgPool2d(3, stride=2, padding=1)
        block = self._block(channels, wider - channels, stride=2, groups=groups)
        return layers.Sequential(Concatenation(block, pooled), layers.ReLU())

    def _unit(self, channels: int) -> nn.Module:
        from kdcore.layers import Residual

        return Residual(self._block(channels, channels, stride=1, groups=self.groups))

    def _block(self, channels: int, wider: int, stride: int, groups: int) -> nn.Sequential:
        from kdcore.layers import convolution

        inner = wider // 4
        return layers.Sequential(
            *convolution(channels, inner, 1, groups=groups),
            layers.ReLU(),
            layers.ChannelShuffle(groups),
            *convolution(inner, inner, stride=stride, groups=inner),
            layers.ReLU(),
            *convolution(inner, wider, 1, groups=self.groups),
        )
