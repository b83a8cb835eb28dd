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
    megvii-research/mdistiller, mdistiller/models/cifar/resnet.py (projection shortcuts, Kaiming
    initialisation by fan-out): equal numbers of parameters
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from kdcore.lazy import nn as layers
from kdcore.model import Model, image_shape

if TYPE_CHECKING:
    from torch import nn

Width = Annotated[int, Field(ge=1, le=4096)]


class ResNet(Model):
    """Three stages of basic blocks; `resnet8x4` is depth 8, stem 32, channels [64, 128, 256]."""

    name: Literal["resnet"] = "resnet"
    depth: Literal[8, 14, 20, 26, 32, 38, 44, 56, 110] = 20
    """Layers with weights: 6 n + 2."""
    stem: Width = 16
    """Channels of the first convolution."""
    channels: Annotated[list[Width], Field(min_length=3, max_length=3)] = [16, 32, 64]
    """Channels of the three stages."""

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build `stem`, `stage1` to `stage3`, `pool`, `head`."""
        image_channels, _, _ = image_shape(self.name, input_shape)
        blocks = (self.depth - 2) // 6
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            stem=layers.Sequential(*_conv(image_channels, self.stem, 1), layers.ReLU())
        )
        width = self.stem
        for place, wider in enumerate(self.channels, start=1):
            first = _basic_block(width, wider, stride=1 if place == 1 else 2)
            rest = [_basic_block(wider, wider, stride=1) for _ in range(blocks - 1)]
            parts[f"stage{place}"] = layers.Sequential(first, *rest)
            width = wider
        parts["pool"] = layers.Sequential(layers.AdaptiveAvgPool2d(1), layers.Flatten())
        parts["head"] = layers.Linear(width, num_classes)
        network = layers.Sequential(parts)
        for module in network.modules():
            if isinstance(module, layers.Conv2d):
                layers.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        return network


def _conv(channels: int, wider: int, stride: int) -> list[nn.Module]:
    convolution = layers.Conv2d(channels, wider, 3, stride=stride, padding=1, bias=False)
    return [convolution, layers.BatchNorm2d(wider)]


def _basic_block(channels: int, wider: int, stride: int) -> nn.Module:
    from kdcore.layers import Residual

    block = layers.Sequential(
        *_conv(channels, wider, stride), layers.ReLU(), *_conv(wider, wider, 1)
    )
    if stride == 1 and channels == wider:
        return Residual(block)
    shortcut = layers.Sequential(
        layers.Conv2d(channels, wider, 1, stride=stride, bias=False), layers.BatchNorm2d(wider)
    )
    return Residual(block, shortcut)
