"""Networks at work: built, run with their stages or layers observed, saved."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import cast

import torch
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from kdcore.errors import RecipeError
from kdcore.model import Model
from kdcore.probe import layers_of, observed, skeleton
from kdcore.sealed import Sealed
from kdcore.tensors import Outputs, Shapes
from kdcore.tokens import blank


def build(
    model: Model,
    input_shape: tuple[int, ...],
    num_classes: int,
    seed: int,
    *,
    furnished: bool = False,
) -> nn.Module:
    """Build a network whose initial weights depend on `seed`, and where `furnished` on its model.

    Weights that a model names are left out where others are read into the network anyway.
    """
    with torch.random.fork_rng(devices=[]):  # drawn on the CPU: no GPU is touched
        torch.default_generator.manual_seed(seed)
        network = model.build(input_shape, num_classes)
        if furnished:
            model.furnish(network, input_shape, num_classes)
        return network


def has_stages(network: nn.Module) -> bool:
    """Return whether a network is a sequence of named stages; a foreign one has layers instead."""
    return type(network) is nn.Sequential


def observe(network: nn.Module, inputs: Tensor, taps: Collection[str] = ()) -> Outputs:
    """Run a network on inputs `(B, *shape)`; keep what the stages or layers in `taps` gave."""
    if not taps:
        return Outputs(cast("Tensor", network(inputs)), {})
    if not has_stages(network):
        return observed(network, inputs, taps)
    features: dict[str, Tensor] = {}
    outputs = inputs
    for name, stage in network.named_children():
        outputs = cast("Tensor", stage(outputs))
        if name in taps:
            features[name] = outputs
    return Outputs(outputs, features)


def shapes_of(network: nn.Module, input_shape: tuple[int, ...]) -> Shapes:
    """Return the shape of what each stage or layer gives for one sample, without arithmetic."""
    if not has_stages(network):
        return layers_of(network, input_shape)
    names = [name for name, _ in network.named_children()]
    empty = skeleton(network)
    dtype = next(empty.parameters()).dtype
    with torch.no_grad():
        inputs = blank(input_shape, 1, device=torch.device("meta"), dtype=dtype)
        outputs = observe(empty, inputs, names)
    return {name: tuple(feature.shape[1:]) for name, feature in outputs.features.items()}


def measured(model: Model, input_shape: tuple[int, ...], num_classes: int) -> Shapes:
    """Return a model's shapes: by arithmetic, or those of a network that is built without numbers.

    Raises:
        RecipeError: it cannot be built, or not take such inputs, or not answer with such logits.
    """
    shapes = model.shapes(input_shape, num_classes)
    if shapes is not None:
        return shapes
    with torch.device("meta"):
        network = model.build(input_shape, num_classes)
    _fits(network, model.name)
    return shapes_of(network, input_shape)


def _fits(network: nn.Module, name: str) -> None:
    """Refuse a network that no memory here holds: nobody could add it up before it was built."""
    size = sum(one.numel() * one.element_size() for one in network.parameters())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise RecipeError(
            f"found a network ({name}) whose weights take {size:,} bytes, on a machine with "
            f"{memory:,}; expected a smaller one",
        )


def predict(network: nn.Module, inputs: Tensor, batch_size: int = 1024) -> Tensor:
    """Return the logits `(N, C)` of all inputs `(N, *shape)`, in evaluation mode."""
    training = network.training
    network.eval()
    chunks = cast("tuple[Tensor, ...]", inputs.split(batch_size))
    with torch.no_grad():
        parts = [cast("Tensor", network(chunk)) for chunk in chunks]
    network.train(training)
    return torch.cat(parts)


def weights_bytes(network: nn.Module, metadata: dict[str, str] | None = None) -> bytes:
    """Return a network's weights as the content of a safetensors file."""
    return safetensors_bytes(
        {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()},
        metadata,
    )


def size_of(network: nn.Module) -> int:
    """Return the bytes of the file that holds a network."""
    if isinstance(network, Sealed):
        return network.size_bytes
    return len(weights_bytes(network))
