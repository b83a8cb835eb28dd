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
from itertools import islice
from typing import Any, Final, cast

from starlette.requests import Request

from api.problems import PayloadProblem, Problem
from api.schemas import FieldError
from jobs.documents import (
    MAX_DEPTH,
    MAX_VALUES,
    DocumentTooLarge,
    Flaw,
    find_flaws,
    integer,
    not_finite,
    too_deep,
)
from kdcore.errors import RecipeError
from kdcore.yaml_text import read_yaml

MAX_ERRORS: Final = 50
"""Errors told at once; a body with more is not read by people."""
MAX_YAML_BYTES: Final = 65_536
"""YAML is read some hundred times slower than JSON, so its limit is lower."""
READ_TIMEOUT_SECONDS: Final = 30.0
"""How long a client may take to send its body."""

_JSON_TYPES: Final = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json")
_YAML_TYPES: Final = re.compile(r"(?:application|text)/(?:x-|vnd\.)?yaml")
_BRACKETS: Final = re.compile(rb"[\[\]{}]")
_MAX_DIGITS: Final = 19


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it was sent."""

    content: bytes
    media_type: str
    """Lower case, without parameters; empty where none was named."""

    @property
    def is_json(self) -> bool:
        """Whether it says of itself that it is JSON."""
        return _JSON_TYPES.fullmatch(self.media_type) is not None

    def document(self) -> object:
        """Return what the body says.

        Raises:
            Problem: 415 for another media type, 413 for too much YAML.
            PayloadProblem: the content is not acceptable; the errors point at the places.
        """
        if self.is_json:
            document = _read_json(self.content)
            if _is_plain(self.content, document):
                return document
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


def _real(digits: str) -> float | Flaw:
    value = float(digits)
    if math.isfinite(value):
        return value
    return Flaw("number_out_of_range", f"found {digits[:40]}; expected a number below 1.8e308")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            value = Flaw("duplicate_key", f"found the key {key[:80]!r} twice; expected it once")  # noqa: PLW2901
        members[key] = value
    return members


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_real, parse_int=integer, parse_constant=not_finite
)


def _refusal(code: str, message: str, hint: str | None = None) -> PayloadProblem:
    return PayloadProblem(
        [FieldError(pointer="", code=code, message=message, hint=hint)], code=code
    )


def _too_deep() -> PayloadProblem:
    error = too_deep()
    return _refusal(error.code, str(error))


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


def _is_plain(content: bytes, document: object) -> bool:
    """Say that a document has no flaws, where that is seen at a glance: nearly always.

    Only escapes can write a NUL or half a surrogate pair in UTF-8; each level has a bracket, and
    each value but the first stands behind a comma or a bracket.
    """
    brackets = content.count(b"[") + content.count(b"{")
    if b"\\u" in content or brackets > MAX_DEPTH or brackets + content.count(b",") >= MAX_VALUES:
        return False
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Flaw):
            return False
        if isinstance(value, dict):
            waiting += cast("dict[str, object]", value).values()
        elif isinstance(value, list):
            waiting += cast("list[object]", value)
    return True


def _faults(document: object) -> list[FieldError]:
    try:
        flaws = list(islice(find_flaws(document), MAX_ERRORS))
    except DocumentTooLarge as error:
        raise _refusal(error.code, str(error)) from None
    return [
        FieldError(pointer=_pointer(flaw.path), code=flaw.code, message=flaw.message)
        for flaw in flaws
    ]


def _pointer(path: tuple[int | str, ...]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
