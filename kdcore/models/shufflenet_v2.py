"""ShuffleNetV2 for small images: half of the channels pass, the others are convolved.

Formula
    conv 1x1 to 24 channels, then three stages of 1 + 3, 1 + 7 and 1 + 3 units; a unit is
    shuffle([x1, f(x2)]) with x = [x1, x2] and f = (1x1, batch norm, ReLU, 3x3 on each channel,
    batch norm, 1x1, batch norm, ReLU), the first of a stage shuffle([g(x), f(x)]) at stride 2 with
    g = (3x3 on each channel, batch norm, 1x1, batch norm, ReLU); then (1x1, batch norm, ReLU),
    global average pooling and a linear head
Shapes
    (B, channels, H, W) -> (B, C); H and W are halved by each stage, rounded up
Paper
    Ma, Zhang, Zheng, Sun. ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture
    Design. 2018. arXiv:1807.11164
Source
    HobbitLong/RepDistiller, models/ShuffleNetv2.py (`ShuffleV2`); megvii-research/mdistiller,
    mdistiller/models/cifar/ShuffleNetv2.py: equal numbers of parameters, equal outputs with equal
    weights. As there, and unlike the paper, the stem is 1x1 without pooling, each stage has one
    unit more, and `x2_0` starts with 224 channels where the paper has 244. Initial weights are
    torch's own.
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
_UNITS = (3, 7, 3)
_CHANNELS = {
    "x0_5": (48, 96, 192, 1024),
    "x1_0": (116, 232, 464, 1024),
    "x1_5": (176, 352, 704, 1024),
    "x2_0": (224, 488, 976, 2048),
}


class ShuffleNetV2(Model):
    """Three stages of units that split and shuffle the channels."""

    name: Literal["shufflenet_v2"] = "shufflenet_v2"
    size: Literal["x0_5", "x1_0", "x1_5", "x2_0"] = "x1_0"
    """Factor on the channels: `x0_5` is a half."""

    known: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {
        f"shufflenet_v2_{size}": {"size": size} for size in _CHANNELS if size != "x1_0"
    }

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build `stem`, `stage1` to `stage3`, `expand`, `pool`, `head`."""
        from kdcore.layers import averaged, convolution

        image_channels, _, _ = image_shape(self.name, input_shape)
        *stages, last = _CHANNELS[self.size]
        stem = layers.Sequential(*convolution(image_channels, _STEM, 1), layers.ReLU())
        parts: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
        channels = _STEM
        for place, (wider, units) in enumerate(zip(stages, _UNITS, strict=True), start=1):
            rest = [_unit(wider) for _ in range(units)]
            parts[f"stage{place}"] = layers.Sequential(_first(channels, wider), *rest)
            channels = wider
        parts["expand"] = layers.Sequential(*convolution(channels, last, 1), layers.ReLU())
        parts["pool"] = averaged()
        parts["head"] = layers.Linear(last, num_classes)
        return layers.Sequential(parts)

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return maps that each stage halves, rounded up, then vectors."""
        _, height, width = image_shape(self.name, input_shape)
        *stages, last = _CHANNELS[self.size]
        shapes: Shapes = {"stem": (_STEM, height, width)}
        for place, channels in enumerate(stages, start=1):
            height, width = -(-height // 2), -(-width // 2)
            shapes[f"stage{place}"] = (channels, height, width)
        return {**shapes, "expand": (last, height, width), "pool": (last,), "head": (num_classes,)}

    def flops(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over convolutions and linear layers."""
        areas = areas_of(self.shapes(input_shape, num_classes))
        *stages, last = _CHANNELS[self.size]
        width, before = _STEM, areas["stem"]
        total = convolution_flops(before, image_shape(self.name, input_shape)[0], width, 1)
        for place, wider in enumerate(stages, start=1):
            half, after = wider // 2, areas[f"stage{place}"]
            total += convolution_flops(after, width, width, groups=width)
            total += convolution_flops(after, width, half, 1)
            total += _branch_flops((before, after), width, half)
            total += _UNITS[place - 1] * _branch_flops((after, after), half, half)
            width, before = wider, after
        return total + convolution_flops(before, width, last, 1) + linear_flops(last, num_classes)

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over stem, units, the last convolution and the head."""
        *stages, last = _CHANNELS[self.size]
        total = convolution_parameters(image_shape(self.name, input_shape)[0], _STEM, 1)
        width = _STEM
        for wider, units in zip(stages, _UNITS, strict=True):
            half = wider // 2
            total += convolution_parameters(width, width, groups=width)
            total += convolution_parameters(width, half, 1)
            total += _branch_parameters(width, half) + units * _branch_parameters(half, half)
            width = wider
        total += convolution_parameters(width, last, 1)
        return total + linear_parameters(last, num_classes)


def _branch_flops(areas: tuple[int, int], channels: int, inner: int) -> int:
    before, after = areas
    total = convolution_flops(before, channels, inner, 1)
    total += convolution_flops(after, inner, inner, groups=inner)
    return total + convolution_flops(after, inner, inner, 1)


def _branch_parameters(channels: int, inner: int) -> int:
    total = convolution_parameters(channels, inner, 1)
    total += convolution_parameters(inner, inner, groups=inner)
    return total + convolution_parameters(inner, inner, 1)


def _first(channels: int, wider: int) -> nn.Module:
    """Return the unit that halves the map and convolves all channels twice."""
    from kdcore.layers import Concatenation, convolution

    left = layers.Sequential(
        *convolution(channels, channels, stride=2, groups=channels),
        *convolution(channels, wider // 2, 1),
        layers.ReLU(),
    )
    right = _branch(channels, wider // 2, stride=2)
    return layers.Sequential(Concatenation(left, right), layers.ChannelShuffle(2))


def _unit(channels: int) -> nn.Module:
    from kdcore.layers import Channels, Concatenation

    half = channels // 2
    convolved = layers.Sequential(Channels(half, channels), *_branch(half, half, stride=1))
    return layers.Sequential(Concatenation(Channels(0, half), convolved), layers.ChannelShuffle(2))


def _branch(channels: int, inner: int, stride: int) -> nn.Sequential:
    from kdcore.layers import convolution

    return layers.Sequential(
        *convolution(channels, inner, 1),
        layers.ReLU(),
        *convolution(inner, inner, stride=stride, groups=inner),
        *convolution(inner, inner, 1),
        layers.ReLU(),
    )
