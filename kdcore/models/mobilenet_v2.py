"""MobileNetV2 for small images, at half its width as the field uses it.

Formula
    conv 3x3 at stride 2, then 17 inverted residuals: (1x1 to 6 times the channels, batch norm,
    ReLU, 3x3 on each channel, batch norm, ReLU, 1x1, batch norm), added to their input where the
    shape stays; then (1x1 to 1280 channels, batch norm, ReLU), global average pooling and a linear
    head
Shapes
    (B, channels, H, W) -> (B, C); H and W are halved four times, rounded up
Paper
    Sandler, Howard, Zhu, Zhmoginov, Chen. MobileNetV2: Inverted Residuals and Linear Bottlenecks.
    2018. arXiv:1801.04381
Source
    HobbitLong/RepDistiller, models/mobilenetv2.py (`mobile_half`); megvii-research/mdistiller,
    mdistiller/models/cifar/mobilenetv2.py: equal numbers of parameters, equal outputs with equal
    weights. As there, ReLU is not cut at 6, channels are rounded down, the first block has its 1x1
    convolution in spite of its expansion of 1, and the stages are blocks 1-2, 3, 4-5 and 6-7 of
    the paper's table.
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

_WIDTHS = {"x0_25": 0.25, "x0_5": 0.5, "x0_75": 0.75, "x1_0": 1.0, "x1_4": 1.4}
_STEM = 32
_STAGES = (  # expansion, channels, blocks, stride of the first
    ((1, 16, 1, 1), (6, 24, 2, 1)),
    ((6, 32, 3, 2),),
    ((6, 64, 4, 2), (6, 96, 3, 1)),
    ((6, 160, 3, 2), (6, 320, 1, 1)),
)
_LAST = 1280


class MobileNetV2(Model):
    """Inverted residuals with linear bottlenecks."""

    name: Literal["mobilenet_v2"] = "mobilenet_v2"
    width: Literal["x0_25", "x0_5", "x0_75", "x1_0", "x1_4"] = "x0_5"
    """Factor on all channels: `x0_5` is a half."""

    known: ClassVar[Mapping[str, Mapping[str, JsonValue]]] = {
        f"mobilenet_v2_{width}": {"width": width} for width in _WIDTHS if width != "x0_5"
    }

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build `stem`, `stage1` to `stage4`, `expand`, `pool`, `head`."""
        from kdcore.layers import averaged, convolution, draw_convolutions

        image_channels, _, _ = image_shape(self.name, input_shape)
        channels = self._scaled(_STEM)
        stem = layers.Sequential(*convolution(image_channels, channels, stride=2), layers.ReLU())
        parts: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
        for place, groups in enumerate(_STAGES, start=1):
            stage: list[nn.Module] = []
            for expansion, unscaled, blocks, stride in groups:
                for block in range(blocks):
                    wider = self._scaled(unscaled)
                    first = stride if block == 0 else 1
                    stage.append(_inverted_residual(channels, wider, first, expansion))
                    channels = wider
            parts[f"stage{place}"] = layers.Sequential(*stage)
        last = self._last()
        parts["expand"] = layers.Sequential(*convolution(channels, last, 1), layers.ReLU())
        parts["pool"] = averaged()
        head = layers.Linear(last, num_classes)
        parts["head"] = head
        network = layers.Sequential(parts)
        draw_convolutions(network)
        layers.init.normal_(head.weight, std=0.01)
        layers.init.zeros_(head.bias)
        return network

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return maps that the stem and all stages but the first halve, rounded up."""
        _, height, width = image_shape(self.name, input_shape)
        height, width = -(-height // 2), -(-width // 2)
        shapes: Shapes = {"stem": (self._scaled(_STEM), height, width)}
        for place, groups in enumerate(_STAGES, start=1):
            if place > 1:
                height, width = -(-height // 2), -(-width // 2)
            shapes[f"stage{place}"] = (self._scaled(groups[-1][1]), height, width)
        last = self._last()
        return {**shapes, "expand": (last, height, width), "pool": (last,), "head": (num_classes,)}

    def flops(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over convolutions and linear layers."""
        areas = areas_of(self.shapes(input_shape, num_classes))
        channels, before = self._scaled(_STEM), areas["stem"]
        total = convolution_flops(before, image_shape(self.name, input_shape)[0], channels)
        for place, stage in enumerate(_STAGES, start=1):
            for expansion, unscaled, blocks, _ in stage:
                wider, after = self._scaled(unscaled), areas[f"stage{place}"]
                for _ in range(blocks):
                    inner = channels * expansion
                    total += convolution_flops(before, channels, inner, 1)
                    total += convolution_flops(after, inner, inner, groups=inner)
                    total += convolution_flops(after, inner, wider, 1)
                    channels, before = wider, after
        last = self._last()
        return (
            total + convolution_flops(before, channels, last, 1) + linear_flops(last, num_classes)
        )

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over stem, inverted residuals, the last convolution and the head."""
        channels = self._scaled(_STEM)
        total = convolution_parameters(image_shape(self.name, input_shape)[0], channels)
        for expansion, unscaled, blocks, _ in (group for stage in _STAGES for group in stage):
            wider = self._scaled(unscaled)
            for _ in range(blocks):
                inner = channels * expansion
                total += convolution_parameters(channels, inner, 1)
                total += convolution_parameters(inner, inner, groups=inner)
                total += convolution_parameters(inner, wider, 1)
                channels = wider
        last = self._last()
        total += convolution_parameters(channels, last, 1)
        return total + linear_parameters(last, num_classes)

    def _scaled(self, channels: int) -> int:
        return int(channels * _WIDTHS[self.width])

    def _last(self) -> int:
        return max(self._scaled(_LAST), _LAST)


def _inverted_residual(channels: int, wider: int, stride: int, expansion: int) -> nn.Module:
    from kdcore.layers import Sum, convolution

    inner = channels * expansion
    block = layers.Sequential(
        *convolution(channels, inner, 1),
        layers.ReLU(),
        *convolution(inner, inner, stride=stride, groups=inner),
        layers.ReLU(),
        *convolution(inner, wider, 1),
    )
    return Sum(block) if stride == 1 and channels == wider else block
