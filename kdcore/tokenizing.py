"""Texts made into ids by a tokenizer's file, and what is delivered so that others do the same.

The file is the one of huggingface/tokenizers, `tokenizer.json`: data alone, no code.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from kdcore.errors import DataError, ExtraMissingError

TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
_MAX_BYTES: Final = 2**28
_PADS: Final = ("[PAD]", "<pad>")
_SPECIAL: Final = {
    "bos_token": ("<s>",),
    "cls_token": ("[CLS]", "<s>"),
    "eos_token": ("</s>",),
    "mask_token": ("[MASK]", "<mask>"),
    "sep_token": ("[SEP]", "</s>"),
    "unk_token": ("[UNK]", "<unk>"),
}
"""What transformers calls the tokens that many tokenizers have."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Texts, or pairs of texts, as ids."""

    ids: list[list[int]]
    """Of each text, without padding."""
    separator: int | None
    """The id that ends each of two texts, where token types say nothing that it does not."""
    cut: int
    """How many were longer than allowed, and were cut."""


class Tokenizer:
    """A tokenizer that somebody has trained."""

    def __init__(self, inputs: Path, path: str, pad_token: str | None) -> None:
        """Read a file under the folder `inputs`.

        Raises:
            DataError: it is missing, is no tokenizer, or has no token for padding.
            ExtraMissingError: tokenizers is not installed.
        """
        if importlib.util.find_spec("tokenizers") is None:
            raise ExtraMissingError(
                f"{path}: tokenizers are read by the library tokenizers, which is not installed "
                "where the job runs; expected the extra `hub`",
                hint="install it on the workers: pip install 'stillhouse-server[hub]'",
            )
        self._shown = path
        self._content = _read(inputs / path, path)
        library: Any = importlib.import_module("tokenizers")
        try:
            self._tokenizer: Any = library.Tokenizer.from_str(self._content.decode())
        except Exception as error:  # noqa: BLE001  # the library raises plain exceptions
            raise DataError(
                f"{path}: is no readable {TOKENIZER} ({str(error)[:200]})",
                hint="write it with `save` of huggingface/tokenizers, or `save_pretrained`",
            ) from None
        ids = cast("dict[str, int]", self._tokenizer.get_vocab(with_added_tokens=True))
        if not ids:
            raise DataError(f"{path}: found a tokenizer without a token; train it first")
        self.vocabulary = max(ids.values()) + 1
        self._pad_token = pad_token or next((one for one in _PADS if one in ids), "")
        if self._pad_token not in ids:
            expected = repr(pad_token) if pad_token else " or ".join(map(repr, _PADS))
            raise DataError(
                f"{path}: found no token {expected} for padding among {len(ids):,}",
                hint="name the token of padding in data.pad_token",
            )
        self.pad = ids[self._pad_token]

    def encode(self, texts: Sequence[str | tuple[str, str]], max_length: int) -> Encoded:
        """Return texts as ids, cut to `max_length` of these with what the tokenizer puts around.

        Raises:
            DataError: so short a text cannot be.
        """
        self._tokenizer.no_padding()
        try:
            self._tokenizer.enable_truncation(max_length)
            found = cast("list[Any]", self._tokenizer.encode_batch(list(texts)))
        except Exception as error:  # noqa: BLE001  # as above
            raise DataError(
                f"{self._shown}: cannot make texts of at most {max_length} tokens "
                f"({str(error)[:200]})",
                hint="raise data.max_length",
            ) from None
        ids = [cast("list[int]", one.ids) for one in found]
        types = [cast("list[int]", one.type_ids) for one in found]
        cut = sum(bool(one.overflowing) for one in found)
        return Encoded(ids, _separator(ids, types), cut)

    def files(self, max_length: int, *, types: bool) -> dict[str, bytes]:
        """Return what `transformers.AutoTokenizer` wants to find beside a network, by name.

        `types` says whether the network is told which of two texts a token belongs to.
        """
        document = cast("dict[str, Any]", json.loads(self._content))
        added = cast("list[dict[str, Any]]", document.get("added_tokens") or [])
        special = {str(one["content"]) for one in added if one.get("special")}
        names = {
            name: found
            for name, usual in _SPECIAL.items()
            if (found := next((one for one in usual if one in special), None))
        }
        inputs = ["input_ids", *(["token_type_ids"] if types else []), "attention_mask"]
        config = {
            **names,
            "clean_up_tokenization_spaces": False,
            "model_input_names": inputs,
            "model_max_length": max_length,
            "pad_token": self._pad_token,
            "padding_side": "right",
            "tokenizer_class": "PreTrainedTokenizerFast",
            "truncation_side": "right",
        }
        written = json.dumps(config, indent=2, sort_keys=True) + "\n"
        return {TOKENIZER: self._content, TOKENIZER_CONFIG: written.encode()}


def _read(file: Path, shown: str) -> bytes:
    try:
        if not file.is_file():
            raise DataError(
                f"{shown}: no such file in the inputs folder", hint=f"put the {TOKENIZER} there"
            )
        if (size := file.stat().st_size) > _MAX_BYTES:
            raise DataError(f"{shown}: has {size:,} bytes; expected at most {_MAX_BYTES:,}")
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror or error})") from None


def _separator(ids: Sequence[list[int]], types: Sequence[list[int]]) -> int | None:
    """Return the id behind which tokens are of the second text, in all texts; None if none is."""
    for row, kinds in zip(ids, types, strict=True):
        if 1 in kinds[1:]:
            separator = row[kinds.index(1) - 1]
            break
    else:
        return None

    def told(row: Sequence[int]) -> list[int]:
        first = row.index(separator) if separator in row else len(row)
        return [int(place > first) for place in range(len(row))]

    told_by_it = all(told(row) == kinds for row, kinds in zip(ids, types, strict=True))
    return separator if told_by_it else None
