"""Text encoders of transformers: fitted to a tokenizer's ids, and fed one tensor of these.

Which tokens are padding, and which of two texts a token belongs to, is worked out inside of the
network from the ids alone: what is trained, delivered and exported takes nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from kdcore.errors import RecipeError
from kdcore.hub import IDS, TEXTS
from kdcore.model import image_shape
from kdcore.tokenizing import TOKENIZER_CONFIG
from kdcore.tokens import Ids
from kdcore.vision import import_transformers

if TYPE_CHECKING:
    from pydantic import JsonValue
    from torch import Tensor, nn

_POSITIONS_BEHIND_PAD: Final = {"camembert", "roberta", "xlm-roberta"}
"""Architectures whose first position is the one behind the id of padding."""
_NUMBERED: Final = re.compile(r"(?P<path>.+?)\.(?P<number>\d+)\.(?P<rest>.+)")
_WAY_OUT: Final = "take the tokenizer that the network was made with, or another network"


def check_kind(name: str, kind: object, input_shape: tuple[int, ...]) -> None:
    """Refuse images for an encoder of texts, and texts for one of images.

    Raises:
        RecipeError: samples and network are of two kinds.
    """
    texts = isinstance(input_shape, Ids)
    if texts == (kind in TEXTS):
        if not texts:
            image_shape(name, input_shape)
        return
    found = f"texts of up to {input_shape[0]} tokens" if texts else f"shape {input_shape}"
    taken, other = ("images", "bert") if texts else ("texts", "vit")
    raise RecipeError(
        f"found {name} of model_type {kind}, which takes {taken}, and samples that are {found}; "
        "expected samples and a network of one kind",
        hint=f"take a model_type such as {other}, or other data",
    )


def fit_ids(config: Any, ids: Ids, named: Collection[str]) -> None:
    """Let an encoder's settings fit a tokenizer; those that are `named` stay as they are.

    Raises:
        RecipeError: they are for other ids, or for shorter texts.
    """
    if "vocab_size" not in named:
        config.vocab_size = ids.vocabulary
    if "pad_token_id" not in named:
        config.pad_token_id = ids.pad
    if config.vocab_size < ids.vocabulary:
        raise RecipeError(
            f"found vocab_size {config.vocab_size:,}, and a tokenizer of {ids.vocabulary:,} "
            "tokens; expected as many or more",
            hint=_WAY_OUT,
        )
    if config.pad_token_id not in {None, ids.pad}:
        raise RecipeError(
            f"found pad_token_id {config.pad_token_id}, and a tokenizer that pads with {ids.pad}; "
            "expected the same",
            hint=_WAY_OUT,
        )
    behind = ids.pad + 1 if config.model_type in _POSITIONS_BEHIND_PAD else 0
    positions = config.max_position_embeddings - behind
    if ids[0] > positions:
        more = f", {behind} of them before the first" if behind else ""
        raise RecipeError(
            f"found {config.max_position_embeddings} positions (max_position_embeddings{more}), "
            f"and texts of up to {ids[0]} tokens; expected at least as many",
            hint="lower data.max_length, or take a network for longer texts",
        )


def with_ids(settings: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return settings that tell the ids of an encoder's weights, also where they are the usual."""
    if settings["model_type"] not in TEXTS:
        return dict(settings)
    usual = import_transformers().AutoConfig.for_model(settings["model_type"])
    return {name: getattr(usual, name) for name in IDS} | dict(settings)


def read_ids_alone(network: nn.Module, ids: Ids) -> None:
    """Have a network take ids `(B, L)`, and make the rest of its inputs out of them."""
    separator = ids.separator if _types(network) else None
    network.register_forward_pre_hook(_Inputs(ids.pad, separator), with_kwargs=True)


def for_network(files: Mapping[str, bytes], network: nn.Module) -> Mapping[str, bytes]:
    """Return a tokenizer's files for a network: without token types where it takes none."""
    if TOKENIZER_CONFIG not in files or _types(network):
        return files
    document = json.loads(files[TOKENIZER_CONFIG])
    document["model_input_names"] = ["input_ids", "attention_mask"]
    written = json.dumps(document, indent=2, sort_keys=True) + "\n"
    return {**files, TOKENIZER_CONFIG: written.encode()}


def _types(network: nn.Module) -> bool:
    """Return whether an encoder tells the tokens of two texts apart by their types."""
    return (getattr(cast("Any", network).config, "type_vocab_size", None) or 0) > 1


def kept_layers(
    state: Mapping[str, Tensor], layers: Sequence[int], shown: str
) -> dict[str, Tensor]:
    """Return the weights of a network that has some layers of an encoder, of all of its weights.

    Raises:
        RecipeError: the encoder has no such layers.
    """
    numbered = {name: found for name in state if (found := _NUMBERED.match(name))}
    counts = {
        path: len({one["number"] for one in numbered.values() if one["path"] == path})
        for path in {one["path"] for one in numbered.values()}
    }
    if len(counts) != 1 or max(layers) >= max(counts.values()):
        found = ", ".join(f"{count} of {path}" for path, count in sorted(counts.items())) or "none"
        raise RecipeError(
            f"{shown}: found layers {found}; expected layers that are numbered up to "
            f"{max(layers)}, in one place",
            hint="name layers that the encoder has, or leave `layers` out",
        )
    kept = {name: one for name, one in state.items() if name not in numbered}
    for place, layer in enumerate(layers):
        kept |= {
            f"{one['path']}.{place}.{one['rest']}": state[name]
            for name, one in numbered.items()
            if int(one["number"]) == layer
        }
    return kept


class _Inputs:
    """Makes an encoder's inputs out of ids; a class, so that networks can be copied."""

    def __init__(self, pad: int, separator: int | None) -> None:
        self._pad = pad
        self._separator = separator

    def __call__(
        self, _: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        (ids,) = cast("tuple[Tensor]", given)
        known = ids != self._pad
        # Without numbers the library cannot look whether there is padding, and needs not.
        inputs = {
            **named,
            "input_ids": ids,
            "attention_mask": None if ids.is_meta else known.long(),
        }
        if self._separator is not None:
            ends = (ids == self._separator).long()
            inputs["token_type_ids"] = ((ends.cumsum(1) > ends) & known).long()
        return (), inputs
