"""Building blocks that torch does not have ready. Plain torch: import it inside `build` alone."""

from __future__ import annotations

from typing import Self, cast

import torch
from torch import Tensor, nn


class Sum(nn.Module):
    """`block(x) + shortcut(x)`, shapes `(B, C, H, W)`."""

    def __init__(self, block: nn.Module, shortcut: nn.Module | None = None) -> None:
        """Add `block` to `shortcut`, or to the input itself; both must have the same shape."""
        super().__init__()
        self.block = block
        self.shortcut = shortcut or nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sum."""
        return cast("Tensor", self.block(inputs)) + cast("Tensor", self.shortcut(inputs))


class Residual(Sum):
    """`relu(block(x) + shortcut(x))`, shapes `(B, C, H, W)`."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the rectified sum."""
        return nn.functional.relu(super().forward(inputs))


class Concatenation(nn.Module):
    """`[left(x), right(x)]` along the channels of maps `(B, C, H, W)`."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        """Put `right` behind `left`; both must have the same height and width."""
        super().__init__()
        self.left = left
        self.right = right

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the maps of both."""
        return torch.cat((self.left(inputs), self.right(inputs)), dim=1)


class Channels(nn.Module):
    """Channels `start` to `stop` of maps `(B, C, H, W)`."""

    def __init__(self, start: int, stop: int) -> None:
        """Keep what a Python slice would."""
        super().__init__()
        self.start = start
        self.stop = stop

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a view."""
        return inputs[:, self.start : self.stop]


def convolution(
    channels: int, wider: int, size: int = 3, *, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Return a convolution without bias that keeps `(H, W)` at stride 1, and its batch norm."""
    layer = nn.Conv2d(channels, wider, size, stride, size // 2, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(wider)]


def averaged() -> nn.Sequential:
    """Return global average pooling `(B, C, H, W)` -> `(B, C)`."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def draw_convolutions(network: nn.Module) -> None:
    """Draw each convolution's weights from N(0, 2 / (outputs * size^2)), with biases of 0.

    This is the initialisation of He et al. by fan-out, where groups do not count.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Frozen(nn.Sequential):
    """Layers that learn nothing: no gradient, and evaluation mode whatever the network around."""

    path = ""
    """Where they stood in the network that they are from, if that is no stage of this name."""

    def __init__(self, *layers: nn.Module) -> None:
        """Freeze `layers` as they are."""
        super().__init__(*layers)
        self.requires_grad_(requires_grad=False)
        self.train()

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002  # torch's signature
        """Stay in evaluation mode."""
        return super().train(mode=False)

    def copy(self, stage: nn.Module) -> None:
        """Take over the weights and buffers of equal layers, which may be frozen themselves."""
        for mine, theirs in zip(
            self.state_dict().values(), stage.state_dict().values(), strict=True
        ):
            mine.copy_(theirs)


class TokenMasks(nn.Module):
    """Masks that learned tokens draw on a map `(B, C, H, W)`; they are appended to its channels.

    The result is `(B, C + T, H, W)`, or `(B, C + 2T, H, W)` with the weight of each mask, the same
    at every place.
    """

    def __init__(self, channels: int, tokens: int, *, weighted: bool) -> None:
        """Make `tokens` tokens of `channels` small numbers: every mask begins near 0.5."""
        super().__init__()
        self.tokens = nn.Conv2d(channels, tokens, 1, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.01)
        self.weights: nn.Sequential | None = None
        if weighted:
            layers = [nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, tokens, 1)]
            for layer in layers:
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(cast("Tensor", layer.bias))
            first, last = layers
            self.weights = nn.Sequential(first, nn.AdaptiveAvgPool2d(1), last, nn.Softmax(1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the map, its masks in (0, 1), and their weights, which sum to 1."""
        parts = [inputs, self.tokens(inputs).sigmoid()]
        if self.weights is not None:
            parts.append(self.weights(inputs).expand_as(parts[1]))
        return torch.cat(parts, dim=1)


class Unmask(nn.Module):
    """Give back the map that `TokenMasks` was given; while training, as far as its masks let it."""

    def __init__(self, tokens: int, *, weighted: bool) -> None:
        """Expect `tokens` masks behind the map, and behind these their weights if `weighted`."""
        super().__init__()
        self._tokens = tokens
        self._weighted = weighted

    def forward(self, inputs: Tensor) -> Tensor:
        """Return `sum_t w_t M_t * F` while training, else F, both `(B, C, H, W)`."""
        behind = self._tokens * (2 if self._weighted else 1)
        features, masks = inputs[:, :-behind], inputs[:, -behind:]
        if not self.training:
            return features
        if self._weighted:
            masks = masks[:, : self._tokens] * masks[:, self._tokens :]
        return features * masks.sum(1, keepdim=True)
