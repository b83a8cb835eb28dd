"""Weights that transformers saved, read by the library; encoders that give vectors."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kdcore.errors import RecipeError, WeightsError
from kdcore.hub import WEIGHTS
from kdcore.vision import first_line, import_transformers

if TYPE_CHECKING:
    from torch import nn

ENCODER = "AutoModel"
"""The class of transformers that makes an encoder without a head."""
_POOLER = "pooler."


def read_weights(config: Any, opener: str, weights: Path, shown: str) -> tuple[Any, dict[str, Any]]:
    """Return the library's network with the weights of a file, and what it tells of them.

    Raises:
        WeightsError: they are not there, or cannot be read.
    """
    if not weights.is_file():
        raise WeightsError(
            f"{shown}: no such file in the inputs folder",
            hint="save the network with save_pretrained, as one safetensors file",
        )
    theirs = getattr(import_transformers(), opener)
    # Older files have older names, which the library knows. It is shown numbers alone.
    with tempfile.TemporaryDirectory() as shut:
        config.save_pretrained(shut)
        (Path(shut) / WEIGHTS).symlink_to(weights)
        try:
            return theirs.from_pretrained(
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


def whole_weights(
    loaded: Any, told: Mapping[str, Any], shown: str, num_classes: int | None
) -> dict[str, Any]:
    """Return the weights of a classifier; where no `num_classes` are given, its head may be new.

    Raises:
        WeightsError: they are not those of the network.
    """
    others = [str(one[0]) for one in told["mismatched_keys"]]
    strange = [*told["missing_keys"], *told["unexpected_keys"]]
    if num_classes is not None:
        strange += others
    if strange:
        heads = f" for {num_classes} classes" if others else ""
        raise WeightsError(
            f"{shown} does not fit the network{heads}, in {', '.join(sorted(strange)[:5])}",
            hint="set new_head: true, to have a new head trained"
            if others
            else "save the network with save_pretrained; an encoder of texts without a head gives "
            "vectors where pooling is mean",
        )
    return cast("dict[str, Any]", loaded.state_dict())


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


def encoder_weights(loaded: Any, told: Mapping[str, Any], shown: str) -> dict[str, Any]:
    """Return the weights of an encoder; what stands on top of one is left out.

    Raises:
        WeightsError: some of them are not in the file.
    """
    absent = [*told["missing_keys"], *(one[0] for one in told["mismatched_keys"])]
    strange = sorted(name for name in map(str, absent) if not name.startswith(_POOLER))
    if strange:
        raise WeightsError(
            f"{shown} does not fit the network, in {', '.join(strange[:5])}",
            hint="save the encoder with save_pretrained",
        )
    state = cast("dict[str, Any]", loaded.state_dict())
    return {name: one for name, one in state.items() if not name.startswith(_POOLER)}


def _logits(_module: object, _given: object, gave: Any) -> Any:
    return gave.logits


def _mean(_module: object, _given: object, named: Mapping[str, Any], gave: Any) -> Any:
    states, mask = gave.last_hidden_state, named["attention_mask"]
    if mask is None:  # nothing but shapes is asked for
        return states.mean(1)
    share = mask.unsqueeze(2).to(states.dtype)
    return (states * share).sum(1) / share.sum(1).clamp(min=1)
