"""ResNet for small images (CIFAR style).

Formula
    conv 3x3, then three stages of n = (depth - 2) / 6 basic blocks, the second and third at half
    the resolution, then global average pooling and a linear head
Shapes
    (B, channels, H, W) -> (B, C)
Paper
    He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. 2015. arXiv:1512.03385,
    section 4.2
Source
    HobbitLong/RepDistiller, models/resnet.py; megvii-research/mdistiller,
    mdistiller/models/cifar/resnet.py (projection shortcuts, Kaiming initialisation by fan-out):
    equal numbers of parameters, equal outputs with equal weights. A stage's output is rectified,
    as their features are.
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

Width = Annotated[int, Field(ge=1, le=4096)]
Depth: TypeAlias = Literal[8, 14, 20, 26, 32, 38, 44, 56, 110]

_DEPTHS: tuple[int, ...] = get_args(Depth)
_X4: dict[str, JsonValue] = {"stem": 32, "channels": [64, 128, 256]}


class ResNet(Model):
    """Three stages of basic blocks; `resnet8x4` is depth 8, stem 32, channels [64, 128, 256]."""

    name: Literal["resnet"] = "resnet"
    depth: Depth = 20
    """Layers with weights: 6 n + 2."""
    stem: Width = 16
    """Channels of the first convolution."""
    channels: Annotated[list[Width], Field(min_length=3, max_length=3)] = [16, 32, 64]
    """Channels of the three stages."""

    known: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {
        **{f"resnet{depth}": {"depth": depth} for depth in _DEPTHS},
        **{f"resnet{depth}x4": {"depth": depth, **_X4} for depth in (8, 14, 20, 26, 32)},
    }

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build `stem`, `stage1` to `stage3`, `pool`, `head`."""
        from kdcore.layers import averaged, convolution, draw_convolutions

        image_channels, _, _ = image_shape(self.name, input_shape)
        blocks = (self.depth - 2) // 6
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            stem=layers.Sequential(*convolution(image_channels, self.stem), layers.ReLU())
        )
        width = self.stem
        for place, wider in enumerate(self.channels, start=1):
            first = _basic_block(width, wider, stride=1 if place == 1 else 2)
            rest = [_basic_block(wider, wider, stride=1) for _ in range(blocks - 1)]
            parts[f"stage{place}"] = layers.Sequential(first, *rest)
            width = wider
        parts["pool"] = averaged()
        parts["head"] = layers.Linear(width, num_classes)
        network = layers.Sequential(parts)
        draw_convolutions(network)
        return network

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return maps, the second and third stage's at half the side, rounded up."""
        _, height, width = image_shape(self.name, input_shape)
        shapes: Shapes = {"stem": (self.stem, height, width)}
        for place, channels in enumerate(self.channels, start=1):
            if place > 1:
                height, width = -(-height // 2), -(-width // 2)
            shapes[f"stage{place}"] = (channels, height, width)
        return {**shapes, "pool": (self.channels[-1],), "head": (num_classes,)}

    def flops(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over convolutions and linear layers."""
        areas = areas_of(self.shapes(input_shape, num_classes))
        blocks, width = (self.depth - 2) // 6, self.stem
        total = convolution_flops(areas["stem"], image_shape(self.name, input_shape)[0], width)
        for place, wider in enumerate(self.channels, start=1):
            area = areas[f"stage{place}"]
            total += convolution_flops(area, width, wider)
            total += (2 * blocks - 1) * convolution_flops(area, wider, wider)
            if place > 1 or width != wider:
                total += convolution_flops(area, width, wider, 1)
            width = wider
        return total + linear_flops(width, num_classes)

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over stem, blocks with their projections, and head."""
        blocks = (self.depth - 2) // 6
        width = self.stem
        total = convolution_parameters(image_shape(self.name, input_shape)[0], width)
        for place, wider in enumerate(self.channels, start=1):
            total += convolution_parameters(width, wider)
            total += (2 * blocks - 1) * convolution_parameters(wider, wider)
            if place > 1 or width != wider:
                total += convolution_parameters(width, wider, 1)
            width = wider
        return total + linear_parameters(width, num_classes)

    def between(self, teacher: Model) -> list[Model]:
        """Return the depths between this one and a deeper one of the same channels."""
        if not isinstance(teacher, ResNet):
            return []
        if (self.stem, self.channels) != (teacher.stem, teacher.channels):
            return []
        depths = [depth for depth in reversed(_DEPTHS) if self.depth < depth < teacher.depth]
        return [self.model_copy(update={"depth": depth}) for depth in depths]


def _basic_block(channels: int, wider: int, stride: int) -> nn.Module:
    from kdcore.layers import Residual, convolution

    block = layers.Sequential(
        *convolution(channels, wider, stride=stride), layers.ReLU(), *convolution(wider, wider)
    )
    if stride == 1 and channels == wider:
        return Residual(block)
    return Residual(block, layers.Sequential(*convolution(channels, wider, 1, stride=stride)))
