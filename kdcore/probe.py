"""Layers of foreign networks: observed through hooks, found by running the network once.

A layer is a module by its path, and its feature is what it gave when it last ran; where it gives
several things, the first tensor among them. `<head>.input` is what the head was given. Hooks are
Python: they run as written, outside of what `torch.compile` makes of a network.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kdcore.errors import RecipeError
from kdcore.sealed import Sealed
from kdcore.stages import INPUT, LayerShapes
from kdcore.tensors import Outputs
from kdcore.tokens import blank

_MAP = 3


def dtype_of(network: nn.Module) -> torch.dtype:
    """Return the numbers of a network's weights; float32 where it has none."""
    kinds = (one.dtype for one in network.parameters() if one.is_floating_point())
    return next(kinds, torch.float32)


def observed(network: nn.Module, inputs: Tensor, taps: Collection[str]) -> Outputs:
    """Run a network on inputs `(B, *shape)`; keep what the layers named in `taps` gave.

    Raises:
        RecipeError: the network has no such layer, or did not run it.
    """
    return cast("Outputs", cast("Any", _as_written)(network, inputs, taps))


@torch.compiler.disable
def _as_written(network: nn.Module, inputs: Tensor, taps: Collection[str]) -> Outputs:
    if isinstance(network, Sealed):
        return network.observed(inputs, taps)
    features: dict[str, Tensor] = {}
    handles = [_watched(network, tap, features) for tap in taps]
    try:
        logits = cast("Tensor", network(inputs))
    finally:
        for handle in handles:
            handle.remove()
    for tap in taps:
        if tap not in features:
            raise RecipeError(
                f"layer {tap!r} gave no tensor when the network ran; expected one that does",
                hint="name another layer; `python -m kdcore layers` lists them",
            )
    return Outputs(logits, features)


def _watched(network: nn.Module, tap: str, features: dict[str, Tensor]) -> RemovableHandle:
    def keep(value: object) -> None:
        if (tensor := _first_tensor(value)) is not None:
            features[tap] = tensor.clone()  # the next layer may write into it

    modules = _modules(network)
    if tap in modules:
        return modules[tap].register_forward_hook(lambda _module, _inputs, given: keep(given))
    path = tap.removesuffix(INPUT)
    if path == tap or path not in modules:
        raise RecipeError(
            f"found no layer {tap!r} in the network; expected the path of one",
            hint="name another layer; `python -m kdcore layers` lists them",
        )
    return modules[path].register_forward_pre_hook(
        lambda _module, given, named: keep((*given, *named.values())), with_kwargs=True
    )


def _modules(network: nn.Module) -> dict[str, nn.Module]:
    return dict(cast("Iterable[tuple[str, nn.Module]]", network.named_modules()))


def _first_tensor(value: object) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    parts: Iterable[object] = ()
    if isinstance(value, Mapping):
        parts = cast("Mapping[str, object]", value).values()
    elif isinstance(value, list | tuple):
        parts = cast("Iterable[object]", value)
    return next((one for one in map(_first_tensor, parts) if one is not None), None)


@dataclass(frozen=True, slots=True)
class _Ran:
    """One layer that ran: what it was given, and what it gave, without the batch."""

    module: nn.Module
    given: tuple[int, ...]
    gave: tuple[int, ...]


def skeleton(network: nn.Module) -> nn.Module:
    """Return a copy without numbers, in evaluation mode."""
    without_numbers: dict[int, Tensor] = {
        id(one): torch.empty_like(one, device="meta") for one in network.buffers()
    } | {id(one): nn.Parameter(one.to("meta"), one.requires_grad) for one in network.parameters()}
    return copy.deepcopy(network, without_numbers).eval()


def layers_of(network: nn.Module, input_shape: tuple[int, ...]) -> LayerShapes:
    """Run a copy without numbers on one sample, and return its layers.

    Raises:
        RecipeError: the network cannot take inputs of this shape.
    """
    if isinstance(network, Sealed):
        return network.layer_shapes
    try:
        ran, found = _run(skeleton(network), input_shape, torch.device("meta"))
    except Exception as error:  # noqa: BLE001  # what another library finds wrong is of any kind
        device = next((one.device for one in network.parameters()), torch.device("cpu"))
        if device.type == "meta":
            raise refused(input_shape, error) from None
        try:  # some networks look at numbers
            ran, found = _run(copy.deepcopy(network).eval(), input_shape, device)
        except Exception as truly:  # noqa: BLE001  # as above
            raise refused(input_shape, truly) from None
    head = None if found is None else _head(ran, tuple(found.shape[1:]))
    shapes: dict[str, tuple[int, ...]] = {}
    for path, one in ran.items():
        if path == head:
            shapes[f"{path}{INPUT}"] = one.given
        shapes[path] = one.gave
    given = f"{head}{INPUT}"
    return LayerShapes(
        shapes,
        maps=_maps(ran, head, input_shape),
        head=head,
        embedding=given if len(shapes.get(given, ())) == 1 else None,
        attention_heads=_attention_heads(network),
    )


def refused(input_shape: tuple[int, ...], error: Exception) -> RecipeError:
    """Return what to say where a foreign network fails on inputs of a shape."""
    return RecipeError(
        f"the network cannot take inputs of shape {input_shape}: {error or type(error).__name__}",
        hint="take another architecture, or data of the size that this one is made for",
    )


def _run(
    network: nn.Module, input_shape: tuple[int, ...], device: torch.device
) -> tuple[dict[str, _Ran], Tensor | None]:
    """Run a copy on one sample of zeros; return what ran, in order, and the logits."""
    ran: dict[str, _Ran] = {}
    for path, module in _modules(network).items():
        if path:
            module.register_forward_hook(_noted(path, ran), with_kwargs=True)
    with torch.no_grad():
        logits = network(blank(input_shape, 1, device=device, dtype=dtype_of(network)))
    return ran, _first_tensor(logits)


def _noted(path: str, ran: dict[str, _Ran]) -> Any:
    def note(module: nn.Module, given: object, named: dict[str, object], gave: object) -> None:
        inputs, outputs = _first_tensor((given, named)), _first_tensor(gave)
        if inputs is not None and outputs is not None:
            ran.pop(path, None)  # what runs again is done when it last ran
            ran[path] = _Ran(module, tuple(inputs.shape[1:]), tuple(outputs.shape[1:]))

    return note


def _head(ran: Mapping[str, _Ran], logits: tuple[int, ...]) -> str | None:
    """Return the last layer with weights of its own, where what it gives are the logits."""
    learned = [path for path, one in ran.items() if [*one.module.parameters(recurse=False)]]
    gave = ran[learned[-1]].gave if learned else ()
    return learned[-1] if gave[:1] == logits and set(gave[1:]) <= {1} else None


def _attention_heads(network: nn.Module) -> int:
    """Return how many heads share each projection, as transformers says it; 0 if nobody does."""
    told: object = getattr(getattr(network, "config", None), "num_attention_heads", 0)
    return told if isinstance(told, int) else 0


def _maps(
    ran: Mapping[str, _Ran], head: str | None, input_shape: tuple[int, ...]
) -> tuple[str, ...]:
    """Return a map (channels, height, width) of each size, large ones first.

    Of equal sizes it is that of the outermost layer, and of these the last. There is none where the
    network goes on in another form, tokens or channels last: a map is then its beginning. One place
    is a map only where there is no larger one, and never where something pooled to it.
    """
    if len(input_shape) != _MAP:
        return ()
    image = input_shape[1:]
    before = list(itertools.takewhile(lambda path: path != head, ran))
    if any(len(ran[path].gave) == _MAP - 1 and ran[path].gave[0] > 1 for path in before):
        return ()  # tokens (N, D)
    images = {path: ran[path].gave for path in before if len(ran[path].gave) == _MAP}
    found: dict[tuple[int, ...], str] = {}
    for path, gave in images.items():
        size = gave[1:]
        pooled = size == (1, 1) and "pool" in type(ran[path].module).__name__.lower()
        outer = path.count(".") <= found.get(size, path).count(".")
        if _is_scaled(size, image) and outer and not pooled:
            found[size] = path
    if any(
        _is_scaled(gave[:2], image) and not _is_scaled(gave[1:], image) and gave[:2] not in found
        for gave in images.values()
    ):
        return ()  # (height, width, channels)
    larger = [path for size, path in found.items() if size != (1, 1)]
    return tuple(larger or found.values())


def _is_scaled(size: tuple[int, ...], image: tuple[int, ...]) -> bool:
    """Return whether both sides are those of the image, divided alike."""
    (height, width), (tall, wide) = size, image
    return height <= tall and width <= wide and round(tall / height) == round(wide / width)
