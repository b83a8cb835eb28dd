"""Where a gradient in bfloat16 is not to be trusted: PyTorch leaves parts of it unwritten on CPUs.

On a map of one pixel a convolution with a stride and a kernel of several meets the pixel with one
of the kernel's places alone. The others' gradient is 0; in bfloat16 oneDNN does not write them, and
what the memory held before is taken for it, NaN at times (torch 2.13 on a processor with AVX-512;
float32, larger maps and what comes out of the convolution are right).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from kdcore.errors import RecipeError
from kdcore.model import Model
from kdcore.tokens import blank


class _Watch(TorchDispatchMode):
    """Looks at every convolution, in whatever module it is."""

    found = False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        del types
        if func is torch.ops.aten.convolution.default:
            inputs, weights, _, stride = args[:4]
            self.found |= _is_unwritten(inputs, weights, stride)
        return func(*args, **(kwargs or {}))


def _is_unwritten(inputs: Tensor, weights: Tensor, stride: list[int]) -> bool:
    is_one_pixel = all(side == 1 for side in inputs.shape[2:])
    return is_one_pixel and max(stride) > 1 and max(weights.shape[2:]) > 1


def leaves_unwritten(model: Model, shape: tuple[int, ...], num_classes: int) -> bool:
    """Return whether a network of this model has such a convolution; it is run without numbers."""
    with torch.device("meta"), torch.no_grad(), _Watch() as watch:
        model.build(shape, num_classes).eval()(blank(shape, 1))
    return watch.found


def require_written(model: Model, shape: tuple[int, ...], num_classes: int) -> None:
    """Refuse to train a network in bfloat16 on a CPU whose gradient would be left unwritten.

    Raises:
        RecipeError: it has such a convolution.
    """
    if leaves_unwritten(model, shape, num_classes):
        raise RecipeError(
            f"found precision bfloat16, and in {model.label()} a convolution with a stride on a map"
            " of one pixel, whose gradient PyTorch leaves partly unwritten in bfloat16 on CPUs; "
            "expected auto or float32",
            hint="leave precision out, or take larger images or a network with fewer strides",
            pointer="/runtime/precision",
        )
