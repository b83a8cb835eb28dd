"""Weights that transformers saved, read by the library, which knows their older names.

Encoders that give vectors are read the same way, without what stands on top of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import safe_open

from kdcore.errors import Misfit, RecipeError, WeightsError
from kdcore.hub import WEIGHTS
from kdcore.vision import first_line, import_transformers
from kdcore.weights import told

if TYPE_CHECKING:
    from torch import Tensor, nn

ENCODER = "AutoModel"
"""The class of transformers that makes an encoder without a head."""
_POOLER = "pooler."


def read_weights(
    config: Any, opener: str, weights: Path, shown: str
) -> tuple[nn.Module, list[Misfit]]:
    """Return the library's network with the weights of a file, and what does not fit.

    Raises:
        WeightsError: they are not there, or cannot be read.
    """
    if not weights.is_file():
        raise WeightsError(
            f"{shown}: no such file in the inputs folder",
            hint="save the network with save_pretrained, as one safetensors file",
        )
    kind = getattr(import_transformers(), opener)
    # Older files have older names, which the library knows. It is shown numbers alone.
    with tempfile.TemporaryDirectory() as shut:
        config.save_pretrained(shut)
        (Path(shut) / WEIGHTS).symlink_to(weights)
        try:
            loaded, found = kind.from_pretrained(
                shut,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                dtype="float32",
            )
        except Exception as error:  # noqa: BLE001  # what transformers finds is of any kind
            raise WeightsError(
                f"{shown}: no readable safetensors file for its config.json ({first_line(error)})"
            ) from None
    state: dict[str, Tensor] = loaded.state_dict()
    sizes = _sizes(weights)
    misfits = [
        *(Misfit(name, None, tuple(state[name].shape)) for name in sorted(found["missing_keys"])),
        *(Misfit(name, sizes.get(name, ()), None) for name in sorted(found["unexpected_keys"])),
        *(
            Misfit(name, tuple(theirs), tuple(ours))
            for name, theirs, ours in sorted(found["mismatched_keys"])
        ),
    ]
    return loaded, misfits


def whole_weights(
    loaded: nn.Module, misfits: Sequence[Misfit], shown: str, num_classes: int, *, new_head: bool
) -> dict[str, Tensor]:
    """Return the numbers of a classifier.

    With `new_head` the head is new where the file has none that fits.

    Raises:
        WeightsError: the rest does not fit.
    """
    # By the library's convention what is beside the base model is a head.
    body = f"{cast('Any', loaded).base_model_prefix}."
    beside = [one for one in misfits if not one.name.startswith(body)]
    left = [one for one in misfits if one not in beside] if new_head else [*misfits]
    if left:
        raise WeightsError(
            f"{shown} does not fit the network for {num_classes} classes: {told(left)}",
            hint="set new_head: true, to have a new head trained; an encoder of texts without a "
            "head gives vectors where pooling is mean"
            if beside == left
            else "save the network with save_pretrained",
            misfits=left,
        )
    return cast("dict[str, Tensor]", loaded.state_dict())


def encoder_weights(loaded: nn.Module, misfits: Sequence[Misfit], shown: str) -> dict[str, Tensor]:
    """Return the numbers of an encoder; what stands on top of one is left out.

    Raises:
        WeightsError: some of them are not in the file.
    """
    left = [one for one in misfits if one.expected is not None and not one.name.startswith(_POOLER)]
    if left:
        raise WeightsError(
            f"{shown} does not fit the network: {told(left)}",
            hint="save the encoder with save_pretrained",
            misfits=left,
        )
    state = cast("dict[str, Tensor]", loaded.state_dict())
    return {name: one for name, one in state.items() if not name.startswith(_POOLER)}


def give_the_logits(network: nn.Module) -> None:
    """Have a network give its logits alone."""
    network.register_forward_hook(_logits)


def give_the_mean(network: nn.Module, dimensions: int, name: str) -> None:
    """Have an encoder give the mean of its last hidden states over the tokens of each text.

    Raises:
        RecipeError: its vectors are of another length.
    """
    whole = cast("Any", network)
    if (found := whole.config.hidden_size) != dimensions:
        raise RecipeError(
            f"found {name}, whose vectors have {found} numbers, and a task of {dimensions}; "
            "expected as many",
            hint=f"set task: {{name: embedding, dimensions: {found}}}",
        )
    if hasattr(whole, "pooler"):
        whole.pooler = None  # it would look at the first token alone, and nobody reads it
    network.register_forward_hook(_mean, with_kwargs=True)


def _sizes(weights: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a file's tensors by name."""
    with cast("Any", safe_open)(weights, framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118  # it is no mapping


def _logits(_module: object, _given: object, gave: Any) -> Any:
    return gave.logits


def _mean(_module: object, _given: object, named: Mapping[str, Any], gave: Any) -> Any:
    states, mask = gave.last_hidden_state, named["attention_mask"]
    if mask is None:  # nothing but shapes is asked for
        return states.mean(1)
    share = mask.unsqueeze(2).to(states.dtype)
    return (states * share).sum(1) / share.sum(1).clamp(min=1)
