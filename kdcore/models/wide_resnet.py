"""Wide residual network (WRN) for small images: residual blocks that normalise first.

Formula
    conv 3x3, then three stages of n = (depth - 4) / 6 blocks with 16 k, 32 k and 64 k channels,
    the second and third at half the resolution; a block is x + conv(relu(bn(conv(relu(bn(x)))))),
    where the channels change W x' + ... with x' = relu(bn(x)) for both; then batch norm, ReLU,
    global average pooling and a linear head
Shapes
    (B, channels, H, W) -> (B, C)
Paper
    Zagoruyko, Komodakis. Wide Residual Networks. 2016. arXiv:1605.07146
Source
    HobbitLong/RepDistiller, models/wrn.py; megvii-research/mdistiller,
    mdistiller/models/cifar/wrn.py: equal numbers of parameters, equal outputs with equal weights.
    `wrn_40_2` is depth 40, width 2. Their features of stages are sums before the next batch norm;
    so are ours, but for the last stage: the batch norm and ReLU after it belong to it, so that the
    pooling reads the last map, as in every other network here. No dropout, as in their settings.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias, get_args

from pydantic import Field, JsonValue

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

Depth: TypeAlias = Literal[10, 16, 22, 28, 34, 40]

_DEPTHS: tuple[int, ...] = get_args(Depth)
_STEM = 16
_STAGES = 3


class WideResNet(Model):
    """Three stages of pre-activation blocks, `width` times as wide as a ResNet's."""

    name: Literal["wide_resnet"] = "wide_resnet"
    depth: Depth = 16
    """Layers with weights: 6 n + 4."""
    width: Annotated[int, Field(ge=1, le=32)] = 2
    """Widening factor k: the stages have 16 k, 32 k and 64 k channels."""

    known: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {
        **{
            f"wrn_{depth}_{width}": {"depth": depth, "width": width}
            for depth in _DEPTHS
            for width in (1, 2, 4)
        },
        "wrn_16_8": {"depth": 16, "width": 8},
        "wrn_28_10": {"depth": 28, "width": 10},
    }

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build `stem`, `stage1` to `stage3`, `pool`, `head`."""
        from kdcore.layers import averaged, draw_convolutions

        image_channels, _, _ = image_shape(self.name, input_shape)
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            stem=layers.Conv2d(image_channels, _STEM, 3, padding=1, bias=False)
        )
        channels = _STEM
        for place, wider in enumerate(self._channels(), start=1):
            stage = _block(channels, wider, stride=1 if place == 1 else 2)
            for _ in range((self.depth - 4) // 6 - 1):
                stage += _block(wider, wider, stride=1)
            if place == _STAGES:
                stage += [layers.BatchNorm2d(wider), layers.ReLU()]
            parts[f"stage{place}"] = layers.Sequential(*stage)
            channels = wider
        parts["pool"] = averaged()
        head = layers.Linear(channels, num_classes)
        parts["head"] = head
        layers.init.zeros_(head.bias)
        network = layers.Sequential(parts)
        draw_convolutions(network)
        return network

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return maps, the second and third stage's at half the side, rounded up."""
        _, height, width = image_shape(self.name, input_shape)
        shapes: Shapes = {"stem": (_STEM, height, width)}
        for place, channels in enumerate(self._channels(), start=1):
            if place > 1:
                height, width = -(-height // 2), -(-width // 2)
            shapes[f"stage{place}"] = (channels, height, width)
        return {**shapes, "pool": (self._channels()[-1],), "head": (num_classes,)}

    def flops(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over convolutions and linear layers."""
        areas = areas_of(self.shapes(input_shape, num_classes))
        blocks, width = (self.depth - 4) // 6, _STEM
        total = convolution_flops(areas["stem"], image_shape(self.name, input_shape)[0], width)
        for place, wider in enumerate(self._channels(), start=1):
            area = areas[f"stage{place}"]
            total += convolution_flops(area, width, wider)
            total += (2 * blocks - 1) * convolution_flops(area, wider, wider)
            total += convolution_flops(area, width, wider, 1) if width != wider else 0
            width = wider
        return total + linear_flops(width, num_classes)

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over stem, blocks with their shortcuts, and head."""
        blocks = (self.depth - 4) // 6
        total = 9 * image_shape(self.name, input_shape)[0] * _STEM
        width = _STEM
        for wider in self._channels():
            # Batch norms stand before the convolutions, the last one of a stage behind it all.
            total += 9 * width * wider + 2 * width
            total += (2 * blocks - 1) * convolution_parameters(wider, wider)
            total += width * wider if width != wider else 0
            width = wider
        return total + 2 * width + linear_parameters(width, num_classes)

    def between(self, teacher: Model) -> list[Model]:
        """Return depths, or else widths, between two that differ in nothing else."""
        if not isinstance(teacher, WideResNet):
            return []
        if self.width == teacher.width:
            depths = [depth for depth in reversed(_DEPTHS) if self.depth < depth < teacher.depth]
            return [self.model_copy(update={"depth": depth}) for depth in depths]
        if self.depth == teacher.depth:
            widths = range(teacher.width - 1, self.width, -1)
            return [self.model_copy(update={"width": width}) for width in widths]
        return []

    def _channels(self) -> list[int]:
        return [_STEM * self.width * 2**place for place in range(_STAGES)]


def _block(channels: int, wider: int, stride: int) -> list[nn.Module]:
    from kdcore.layers import Sum, convolution

    normalised = [layers.BatchNorm2d(channels), layers.ReLU()]
    convolutions = [
        *convolution(channels, wider, stride=stride),
        layers.ReLU(),
        layers.Conv2d(wider, wider, 3, padding=1, bias=False),
    ]
    if channels == wider:
        return [Sum(layers.Sequential(*normalised, *convolutions))]
    shortcut = layers.Conv2d(channels, wider, 1, stride, bias=False)
    return [*normalised, Sum(layers.Sequential(*convolutions), shortcut)]
