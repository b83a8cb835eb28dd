"""An entry's options, as its JSON Schema has them, in words: default, what it takes, meaning.

What is code stands between backticks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

Schema = Mapping[str, Any]

_WORDS: Final = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true`, `false`",
    "null": "`null`",
}

NEEDS: Final = {
    "needs_labels": "labels",
    "needs_features": "features of earlier stages",
    "needs_indices": "indices of samples",
    "learns": "layers trained beside the student, not delivered",
    "changes_student": "parts put onto the student, delivered",
    "prepares_teacher": "a training of its own around the frozen teacher, first",
    "couples_samples": "samples compared with each other",
}
"""What an entry may ask for, by the word that its description has."""


class Option(NamedTuple):
    """One option."""

    name: str
    default: str
    values: str
    meaning: str


def options(schema: Schema) -> list[Option]:
    """Return the options of an entry, all but its name."""
    defs: Mapping[str, Schema] = schema.get("$defs", {})
    properties: Mapping[str, Schema] = schema["properties"]
    return [
        Option(
            f"`{name}`",
            f"`{json.dumps(option['default'])}`" if "default" in option else "to be given",
            _values(option, defs),
            option.get("description", ""),
        )
        for name, option in properties.items()
        if name != "name"
    ]


def listed(names: Iterable[str]) -> str:
    """Return names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def _values(schema: Schema, defs: Mapping[str, Schema]) -> str:
    """Say in words what a schema accepts."""
    if kinds := cast("list[Schema]", schema.get("anyOf", schema.get("oneOf", []))):
        return " or ".join(dict.fromkeys(_values(kind, defs) for kind in kinds))
    if "$ref" in schema:
        return str(defs[schema["$ref"].rpartition("/")[2]]["title"]).lower()
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return listed(map(str, choices))
    if schema["type"] == "array":
        count = _range(schema.get("minItems"), schema.get("maxItems")).removeprefix(", ")
        return f"list of {count + ' ' if count else ''}({_values(schema['items'], defs)})"
    if schema["type"] == "object":
        return "settings by name" + _range(schema.get("minProperties"), schema.get("maxProperties"))
    return _WORDS[schema["type"]] + _bounds(schema)


def _bounds(schema: Schema) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    return _range(
        low,
        high,
        above="above " if "exclusiveMinimum" in schema else "",
        below="below " if "exclusiveMaximum" in schema else "",
    )


def _range(low: float | None, high: float | None, *, above: str = "", below: str = "") -> str:
    """Return `, 0 to 1`, or what of it is known."""
    if low is None:
        return "" if high is None else f", {below or 'up to '}{high:,.10g}"
    if high is None:
        return f", {above}{low:,.10g}{'' if above else ' or more'}"
    return f", {above}{low:,.10g}" + (f" to {below}{high:,.10g}" if low != high else "")
