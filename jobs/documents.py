"""What a document may hold, so that every database and every language keeps it as it is.

One walk for all that take documents: the API, and the spec itself for callers that are not the API.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, cast

MAX_DEPTH: Final = 64
"""Containers inside containers; a recipe needs six."""
MAX_VALUES: Final = 5_000
"""Values in one document; a recipe has about a hundred."""

_INT64: Final = 2**63
_MAX_DIGITS: Final = 19
_SHOWN: Final = 80
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")

Path = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Flaw:
    """A value that cannot be kept; a parser may leave one where it could read no value at all."""

    code: str
    message: str
    path: Path = ()
    """Keys and indexes that lead to it, each fit to be shown."""


class DocumentTooLarge(Exception):  # noqa: N818  # says what happened, as the ledger's errors do
    """The document as a whole is refused: `code` is `too_deep` or `too_many_values`."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the stable word and the sentence."""
        super().__init__(message)
        self.code = code


def too_deep() -> DocumentTooLarge:
    """Return the refusal of a document with too many levels."""
    return DocumentTooLarge("too_deep", f"found deeper nesting than {MAX_DEPTH}; expected less")


def integer(digits: str) -> int | Flaw:
    """Read an integer that fits 64 bits; longer ones are not even computed."""
    length = len(digits.lstrip("-"))
    if length <= _MAX_DIGITS and -_INT64 <= (value := int(digits)) < _INT64:
        return value
    return Flaw(
        "integer_out_of_range",
        f"found an integer of {length} digits; expected one that fits 64 bits",
    )


def not_finite(word: str) -> Flaw:
    """Return the flaw of a number that JSON cannot say."""
    return Flaw("not_finite", f"found {word}; expected a finite number")


def find_flaws(document: object) -> Iterator[Flaw]:
    """Walk the whole document, without recursion, and yield what cannot be kept, in its order.

    Raises:
        DocumentTooLarge: it has too many levels or values; nothing more is said of it.
    """
    waiting: list[tuple[Path, object]] = [((), document)]
    seen = 0
    while waiting:
        place, value = waiting.pop()
        seen += 1
        members: list[tuple[object, object]] = []
        if isinstance(value, dict):
            members = list(cast("dict[object, object]", value).items())
            for key, _ in members:
                if flaw := _of_key(key):
                    yield replace(flaw, path=place)
        elif isinstance(value, list):
            members = list(enumerate(cast("list[object]", value)))
        elif flaw := _of_scalar(value):
            yield replace(flaw, path=place)
        if members and len(place) >= MAX_DEPTH:
            raise too_deep()
        if seen + len(waiting) + len(members) > MAX_VALUES:
            raise DocumentTooLarge(
                "too_many_values", f"found more than {MAX_VALUES} values; expected fewer"
            )
        waiting += [((*place, _shown(key)), child) for key, child in reversed(members)]


def _shown(key: object) -> int | str:
    """Return a key with the sign for "unreadable" where no pointer could hold it."""
    if isinstance(key, int):
        return key
    return str(key)[:_SHOWN].encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _of_key(key: object) -> Flaw | None:
    if not isinstance(key, str):
        return Flaw("key_not_text", f"found the key {key!r:.40}; expected text")
    return _of_text(key, "in a key")


def _of_text(text: str, where: str) -> Flaw | None:
    if "\0" in text:
        return Flaw("nul_character", f"found a NUL character {where}; expected text without it")
    if _SURROGATE.search(text):
        return Flaw(
            "lone_surrogate", f"found half of a surrogate pair {where}; expected whole text"
        )
    return None


def _of_scalar(value: object) -> Flaw | None:
    flaw: Flaw | None = None
    match value:
        case Flaw():
            flaw = value
        case str():
            flaw = _of_text(value, "in a text")
        case bool() | None:
            pass
        case int() if not -_INT64 <= value < _INT64:
            bits = value.bit_length()
            flaw = Flaw("integer_out_of_range", f"found an integer of {bits} bits; expected 64")
        case float() if not math.isfinite(value):
            flaw = not_finite(str(value))
        case int() | float():
            pass
        case _:
            kind = type(value).__name__
            flaw = Flaw("not_json", f"found a {kind}; expected JSON's types: put it in quotes")
    return flaw
