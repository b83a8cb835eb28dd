"""Where documents differ: the JSON pointers, and what each document has there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import cast

from pydantic import JsonValue

_Fields = Mapping[str, JsonValue]


def differences(
    documents: Mapping[str, JsonValue], pointer: str = ""
) -> Iterator[tuple[str, dict[str, JsonValue]]]:
    """Yield each place where documents differ, with what those that have it have there, by name.

    Objects are looked into where all documents have one, lists of objects as well, number by
    number. Anything else is one value: lists of numbers, or an object that another has no match of.
    """
    fields = {name: _fields(document) for name, document in documents.items()}
    if any(one is None for one in fields.values()):
        if len({_canonical(document) for document in documents.values()}) > 1:
            yield pointer, dict(documents)
        return
    inside = cast("dict[str, _Fields]", fields)
    for key in dict.fromkeys(key for one in inside.values() for key in one):
        place = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
        there = {name: one[key] for name, one in inside.items() if key in one}
        if len(there) < len(inside):
            yield place, there
        else:
            yield from differences(there, place)


def _fields(value: JsonValue) -> _Fields | None:
    """Return what can be looked into, by key; None where it is one value."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return {str(place): one for place, one in enumerate(value)}
    return None


def _canonical(value: JsonValue) -> str:
    # As text, since to Python true is 1, and 1 is 1.0.
    return json.dumps(value, sort_keys=True)
