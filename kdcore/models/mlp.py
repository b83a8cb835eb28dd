"""Multilayer perceptron: the smallest student.

Formula
    flatten, then (linear, ReLU) for each hidden width, then linear
Shapes
    (B, *input_shape) -> (B, C)
Paper
    The student network of Hinton, Vinyals, Dean, section 3. arXiv:1503.02531
Source
    torch.nn.Linear, with its default initialisation
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from kdcore.lazy import nn as layers
from kdcore.model import Model, linear_flops, linear_parameters

if TYPE_CHECKING:
    from torch import nn

    from kdcore.tensors import Shapes


class MLP(Model):
    """Linear layers with ReLU between them."""

    name: Literal["mlp"] = "mlp"
    hidden: Annotated[list[Annotated[int, Field(ge=1, le=65_536)]], Field(max_length=32)] = [32]
    """Widths of the hidden layers, from the input on; empty for a linear classifier."""

    def build(self, input_shape: tuple[int, ...], num_classes: int) -> nn.Sequential:
        """Build stages `flatten`, `hidden1` ..., `head`."""
        width = math.prod(input_shape)
        stages: OrderedDict[str, nn.Module] = OrderedDict(flatten=layers.Flatten())
        for place, wider in enumerate(self.hidden, start=1):
            stages[f"hidden{place}"] = layers.Sequential(layers.Linear(width, wider), layers.ReLU())
            width = wider
        stages["head"] = layers.Linear(width, num_classes)
        return layers.Sequential(stages)

    def shapes(self, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
        """Return vectors, stage by stage."""
        hidden = {f"hidden{place}": (width,) for place, width in enumerate(self.hidden, start=1)}
        return {"flatten": (math.prod(input_shape),), **hidden, "head": (num_classes,)}

    def flops(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over convolutions and linear layers."""
        widths = [math.prod(input_shape), *self.hidden, num_classes]
        return sum(linear_flops(*pair) for pair in itertools.pairwise(widths))

    def parameters(self, input_shape: tuple[int, ...], num_classes: int) -> int:
        """Return the sum over the layers."""
        widths = [math.prod(input_shape), *self.hidden, num_classes]
        return sum(linear_parameters(*pair) for pair in itertools.pairwise(widths))
