"""Weights of a file in a network: all of them or none, and what to do where they nearly fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from safetensors import SafetensorError
from safetensors.torch import load as read_safetensors
from torch import Tensor, nn

from kdcore.errors import WeightsError

_WRAPPED: Final = ("module.", "_orig_mod.", "model.")
"""What wrappers put before the names: DataParallel, torch.compile, Lightning."""
_SHOWN = 5


def _way_out(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str | None:
    """Return what to do about weights that nearly fit, in one of the ways that are usual."""
    for prefix in _WRAPPED:
        if state and all(name.startswith(prefix) for name in state):
            rest = {name.removeprefix(prefix) for name in state}
            if rest & expected.keys():
                return (
                    f"every name begins with {prefix!r}: save the network inside of the wrapper, "
                    f"or take the prefix off, {{name.removeprefix({prefix!r}): value}}"
                )
    differ = [
        name for name in expected if name in state and state[name].shape != expected[name].shape
    ]
    *_, last = expected or [""]
    head = last.rpartition(".")[0]
    if (
        state.keys() == expected.keys()
        and state[last].dim()
        and {name.rpartition(".")[0] for name in differ} == {head}
    ):
        return (
            f"all but the head {head!r} fits, which is for {len(state[last])} classes and not for "
            f"{len(expected[last])}: train a head for these data, or name data of those classes"
        )
    return None


def load_weights(network: nn.Module, path: Path, shown: str) -> None:
    """Read weights into a network; `shown` is what people call the file.

    Raises:
        WeightsError: no such file, no safetensors, or tensors that do not fit, each named.
    """
    try:
        state = read_safetensors(path.read_bytes())
    except FileNotFoundError:
        raise WeightsError(
            f"{shown}: no such file in the inputs folder", hint="put the safetensors file there"
        ) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{shown}: not a readable safetensors file ({error})") from None
    expected = network.state_dict()
    misfits = [f"{name} is missing" for name in expected if name not in state]
    misfits += [f"{name} is not in the network" for name in state if name not in expected]
    misfits += [
        f"{name} has shape {list(tensor.shape)}, the network's has {list(expected[name].shape)}"
        for name, tensor in state.items()
        if name in expected and tensor.shape != expected[name].shape
    ]
    if misfits:
        more = f"; and {len(misfits) - _SHOWN} more" if len(misfits) > _SHOWN else ""
        raise WeightsError(
            f"{shown} does not fit the network: {'; '.join(misfits[:_SHOWN])}{more}",
            hint=_way_out(state, expected),
        )
    if bad := [name for name, tensor in state.items() if not cast("Any", tensor).isfinite().all()]:
        raise WeightsError(f"{shown} holds NaN or infinity in {', '.join(bad[:_SHOWN])}")
    network.load_state_dict(state)
