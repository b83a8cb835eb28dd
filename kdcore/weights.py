"""Weights of a file in a network: all of them or none, and what to do where they nearly fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

from safetensors import SafetensorError
from safetensors.torch import load as read_safetensors
from torch import Tensor, nn

from kdcore.errors import Misfit, WeightsError

_WRAPPED: Final = ("module.", "_orig_mod.", "model.")
"""What wrappers put before the names: DataParallel, torch.compile, Lightning."""
_SHOWN: Final = 5


def load_weights(network: nn.Module, path: Path, shown: str, anew: Collection[str] = ()) -> None:
    """Read weights into a network; `shown` is what people call the file.

    Modules whose paths are in `anew` are left as they are, whatever the file says of them.

    Raises:
        WeightsError: no such file, no safetensors, or tensors that do not fit, each named.
    """
    network.load_state_dict(fitting_weights(network, path, shown, anew))


def fitting_weights(
    network: nn.Module, path: Path, shown: str, anew: Collection[str] = ()
) -> dict[str, Tensor]:
    """Return what `load_weights` gives a network, which may be without numbers.

    Raises:
        WeightsError: as there.
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
    kept = {name: one for name, one in expected.items() if _within(name, anew)}
    state = {name: one for name, one in state.items() if not _within(name, anew)} | kept
    if misfits := list(_misfits(state, expected)):
        raise WeightsError(
            f"{shown} does not fit the network: {told(misfits)}",
            hint=_way_out(state, expected),
            misfits=misfits,
        )
    read = (name for name in state if name not in kept)
    if bad := [name for name in read if not cast("Any", state[name]).isfinite().all()]:
        raise WeightsError(f"{shown} holds NaN or infinity in {', '.join(bad[:_SHOWN])}")
    return state


def told(misfits: Collection[Misfit]) -> str:
    """Return the first misfits as a sentence."""
    more = f"; and {len(misfits) - _SHOWN} more" if len(misfits) > _SHOWN else ""
    return "; ".join(str(one) for one in list(misfits)[:_SHOWN]) + more


def _within(name: str, modules: Collection[str]) -> bool:
    return any(name.startswith(f"{path}.") for path in modules)


def _misfits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[Misfit]:
    for name, tensor in expected.items():
        if name not in state:
            yield Misfit(name, None, tuple(tensor.shape))
    for name, tensor in state.items():
        if name not in expected:
            yield Misfit(name, tuple(tensor.shape), None)
    for name, tensor in state.items():
        if name in expected and tensor.shape != expected[name].shape:
            yield Misfit(name, tuple(tensor.shape), tuple(expected[name].shape))


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
            f"{len(expected[last])}: set new_head: true beside these weights, to have a head for "
            "these data trained, or name data of those classes"
        )
    return None
