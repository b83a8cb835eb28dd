"""A tokenizer's file, `tokenizer.json`: small, whole JSON, and a vocabulary of a known kind."""

import json
from typing import Any, BinaryIO, Final, NoReturn, cast

from kdcore.errors import DataError

MAX_BYTES: Final = 2**25
"""Twice the file of a vocabulary of 250,000 tokens."""
MAX_NESTED: Final = 2**20
"""Lists and objects, of which a vocabulary, or what it is merged by, has one a token: each takes
many times as much memory as the two bytes that may say it."""
_MAPS: Final = ("BPE", "WordLevel", "WordPiece")
_PAIRS: Final = "Unigram"
_SECTIONS: Final = ("normalizer", "pre_tokenizer", "post_processor", "decoder")


def check_tokenizer(content: BinaryIO, size_bytes: int, name: str) -> None:
    """Read the whole file, and see that its parts are what a tokenizer is made of.

    Raises:
        DataError: it is too large, was cut short, or is another JSON file.
    """
    if size_bytes > MAX_BYTES:
        raise _refused(name, f"has {size_bytes:,} bytes; expected at most {MAX_BYTES:,}")
    content.seek(0)
    written = content.read(size_bytes)
    nested = written.count(b"[") + written.count(b"{")
    if nested > MAX_NESTED:
        raise _refused(name, f"has {nested:,} lists and objects; expected at most {MAX_NESTED:,}")
    try:
        document: Any = json.loads(written.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise _refused(name, "is no JSON from its beginning to its end") from None
    if found := _fault(document):
        raise _refused(name, found)


def _fault(document: Any) -> str:
    """Return what is not as in a tokenizer; nothing where all is."""
    fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    model = fields.get("model")
    if not isinstance(model, dict):
        return "has no `model`, so it is no tokenizer"
    model = cast("dict[str, Any]", model)
    kind = model.get("type")
    if kind not in {*_MAPS, _PAIRS}:
        return f"has a model of the type {str(kind)[:40]!r}; expected one of {_listed()}"
    fits = _is_pairs if kind == _PAIRS else _is_map
    if not fits(model.get("vocab")):
        told = "pairs of a token and a number" if kind == _PAIRS else "tokens with their numbers"
        return f"has a {kind} whose `vocab` is not {told}"
    added: Any = fields.get("added_tokens") or []
    if not isinstance(added, list) or not all(map(_is_added, cast("list[object]", added))):
        return "has `added_tokens` that are not tokens with an `id` and a `content`"
    for section in _SECTIONS:
        found = fields.get(section)
        if found is not None and not isinstance(found, dict):
            return f"has a {section!r} that is neither null nor an object"
    return ""


def _is_map(vocabulary: Any) -> bool:
    if not isinstance(vocabulary, dict) or not vocabulary:
        return False
    return all(map(_is_id, cast("dict[str, object]", vocabulary).values()))


def _is_pairs(vocabulary: Any) -> bool:
    if not isinstance(vocabulary, list) or not vocabulary:
        return False
    return all(map(_is_pair, cast("list[object]", vocabulary)))


def _is_pair(one: object) -> bool:
    match one:
        case [str(), int() | float()]:
            return True
        case _:
            return False


def _is_added(one: object) -> bool:
    token = cast("dict[str, object]", one) if isinstance(one, dict) else {}
    return _is_id(token.get("id")) and isinstance(token.get("content"), str)


def _is_id(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**32


def _listed() -> str:
    return ", ".join((*_MAPS, _PAIRS))


def _no_number(constant: str) -> NoReturn:
    raise ValueError(constant)


def _refused(name: str, found: str) -> DataError:
    return DataError(
        f"{name}: {found}",
        hint="upload the tokenizer.json that `save` of huggingface/tokenizers or `save_pretrained`"
        " wrote",
    )
