"""Reading a request's body: bounded in bytes and time, then parsed more strictly than JSON asks.

What the database or another language could not hold (NaN, NUL, lone surrogates, huge integers, one
key twice, very deep nesting) is refused here with a pointer to it, before any model sees it.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from dataclasses import dataclass
from typing import Any, Final, cast

from starlette.requests import Request

from api.problems import PayloadProblem, Problem
from api.schemas import FieldError
from kdcore.errors import RecipeError
from kdcore.yaml_text import read_yaml

MAX_DEPTH: Final = 64
"""Containers inside containers; a recipe needs six."""
MAX_ERRORS: Final = 50
"""Errors told at once; a body with more is not read by people."""
MAX_VALUES: Final = 5_000
"""Values in one document; a recipe has about a hundred."""
MAX_YAML_BYTES: Final = 65_536
"""YAML is read some hundred times slower than JSON, so its limit is lower."""
READ_TIMEOUT_SECONDS: Final = 30.0
"""How long a client may take to send its body."""

_JSON_TYPES: Final = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json")
_YAML_TYPES: Final = re.compile(r"(?:application|text)/(?:x-|vnd\.)?yaml")
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_INT64: Final = 2**63
_MAX_DIGITS: Final = 19
_SHOWN: Final = 80
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it was sent."""

    content: bytes
    media_type: str
    """Lower case, without parameters; empty where none was named."""

    def document(self) -> object:
        """Return what the body says.

        Raises:
            Problem: 415 for another media type, 413 for too much YAML.
            PayloadProblem: the content is not acceptable; the errors point at the places.
        """
        if _JSON_TYPES.fullmatch(self.media_type):
            document = _read_json(self.content)
        elif _YAML_TYPES.fullmatch(self.media_type):
            document = _read_yaml(self.content)
        else:
            raise Problem(
                415,
                "unsupported_media_type",
                f"found Content-Type {self.media_type or 'missing'!r};"
                " expected application/json or application/yaml",
                hint="with curl: -H 'Content-Type: application/json'",
                headers={"Accept-Post": "application/json, application/yaml"},
            )
        if errors := _faults(document):
            raise PayloadProblem(errors)
        return document


async def read_body(request: Request) -> Body:
    """Return the request's body, never holding more of it than the settings allow.

    Raises:
        Problem: 413 for too many bytes, 408 for too slow a client, 415 for a compressed body.
    """
    limit: int = request.app.state.settings.max_body_bytes
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Problem(
            415,
            "unsupported_encoding",
            f"found Content-Encoding {encoding[:40]!r}; expected a body that is not compressed",
        )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > _MAX_DIGITS or int(announced) > limit):
        raise _too_large(f"{announced[:_MAX_DIGITS]} bytes", limit)
    content = bytearray()
    try:
        async with asyncio.timeout(READ_TIMEOUT_SECONDS):
            async for chunk in request.stream():
                content += chunk
                if len(content) > limit:
                    raise _too_large("more", limit)
    except TimeoutError:
        raise Problem(
            408,
            "body_timeout",
            f"the body was not complete after {READ_TIMEOUT_SECONDS:.0f} s",
            headers={"Connection": "close"},
        ) from None
    media_type = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    return Body(bytes(content), media_type)


def _too_large(found: str, limit: int) -> Problem:
    return Problem(
        413, "body_too_large", f"found {found}; expected a body of at most {limit} bytes"
    )


class _Fault:
    """Stands in a parsed document where a value was found that cannot be accepted."""

    def __init__(self, code: str, message: str, *, pointer: str = "") -> None:
        self.code = code
        self.message = message
        self.pointer = pointer


def _integer(digits: str) -> int | _Fault:
    if len(digits.lstrip("-")) <= _MAX_DIGITS and -_INT64 <= (value := int(digits)) < _INT64:
        return value
    return _Fault(
        "integer_out_of_range",
        f"found an integer of {len(digits.lstrip('-'))} digits; expected one that fits 64 bits",
    )


def _real(digits: str) -> float | _Fault:
    value = float(digits)
    if math.isfinite(value):
        return value
    return _Fault("number_out_of_range", f"found {digits[:40]}; expected a number below 1.8e308")


def _constant(word: str) -> _Fault:
    return _Fault("not_finite", f"found {word}; expected a finite number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            value = _Fault("duplicate_key", f"found the key {key[:80]!r} twice; expected it once")  # noqa: PLW2901
        members[key] = value
    return members


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_real, parse_int=_integer, parse_constant=_constant
)


def _refusal(code: str, message: str, hint: str | None = None) -> PayloadProblem:
    return PayloadProblem(
        [FieldError(pointer="", code=code, message=message, hint=hint)], code=code
    )


def _too_deep() -> PayloadProblem:
    return _refusal("too_deep", f"found deeper nesting than {MAX_DEPTH}; expected less")


def _read_json(content: bytes) -> object:
    if not content.strip():
        raise _refusal("empty_body", "found no body; expected a JSON object")
    try:
        return _DECODER.decode(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise _refusal(
            "invalid_utf8", f"found byte {error.start} that is not UTF-8; expected UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise _refusal("malformed_json", f"not JSON at {where}: {error.msg}") from None
    except RecursionError:
        raise _too_deep() from None


def _read_yaml(content: bytes) -> object:
    if len(content) > MAX_YAML_BYTES:
        raise _too_large(f"{len(content)} bytes of YAML", MAX_YAML_BYTES)
    depth = 0
    for bracket in _BRACKETS.finditer(content):
        # PyYAML takes quadratic time for each open bracket: 20 seconds for 30,000 of them.
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise _too_deep()
    try:
        return read_yaml(content)
    except RecipeError as error:
        raise _refusal("malformed_yaml", str(error), error.hint) from None
    except RecursionError:
        raise _too_deep() from None


class _Place:
    """Where a value stands; spelt out only when something is wrong, since keys may be long."""

    __slots__ = ("depth", "key", "parent")

    def __init__(self, parent: _Place | None, key: object) -> None:
        self.parent = parent
        self.key = key
        self.depth: int = parent.depth + 1 if parent else 0

    def pointer(self) -> str:
        tokens: list[str] = []
        here: _Place = self
        while here.parent is not None:
            # A key that no pointer can hold is shown with the sign for "unreadable".
            text = (
                str(here.key)[:_SHOWN].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
            )
            tokens.append("/" + text.replace("~", "~0").replace("/", "~1"))
            here = here.parent
        return "".join(reversed(tokens))


def _faults(document: object) -> list[FieldError]:
    """Walk the whole document, without recursion, and say what cannot be accepted and where."""
    errors: list[FieldError] = []
    waiting: list[tuple[_Place, object]] = [(_Place(None, ""), document)]
    seen = 0
    while waiting and len(errors) < MAX_ERRORS:
        place, value = waiting.pop()
        seen += 1
        members: list[tuple[object, object]] = []
        if isinstance(value, dict):
            members = list(cast("dict[object, object]", value).items())
            errors += [
                FieldError(
                    pointer=place.pointer(), code=fault.code, message=f"in a key: {fault.message}"
                )
                for key, _ in members
                if (fault := _scalar_fault(key, key=True))
            ]
        elif isinstance(value, list):
            members = list(enumerate(cast("list[object]", value)))
        elif fault := _scalar_fault(value):
            errors.append(
                FieldError(pointer=place.pointer(), code=fault.code, message=fault.message)
            )
        if members and place.depth >= MAX_DEPTH:
            raise _too_deep()
        if seen + len(waiting) + len(members) > MAX_VALUES:
            raise _refusal(
                "too_many_values", f"found more than {MAX_VALUES} values; expected fewer"
            )
        waiting += [(_Place(place, key), child) for key, child in reversed(members)]
    return errors[:MAX_ERRORS]


def _scalar_fault(value: object, *, key: bool = False) -> _Fault | None:
    fault: _Fault | None = None
    match value:
        case _Fault():
            fault = value
        case str() if "\0" in value:
            fault = _Fault("nul_character", "found a NUL character; expected text without it")
        case str() if _SURROGATE.search(value):
            fault = _Fault("lone_surrogate", "found half of a surrogate pair; expected whole text")
        case str():
            pass
        case _ if key:
            fault = _Fault("key_not_text", f"found {value!r:.40}; expected text")
        case bool() | None:
            pass
        case int() if not -_INT64 <= value < _INT64:
            bits = value.bit_length()
            fault = _Fault("integer_out_of_range", f"found an integer of {bits} bits; expected 64")
        case float() if not math.isfinite(value):
            fault = _constant(str(value))
        case int() | float():
            pass
        case _:
            kind = type(value).__name__
            fault = _Fault("not_json", f"found a {kind}; expected JSON's types: put it in quotes")
    return fault
