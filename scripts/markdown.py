"""Markdown for people who read it on GitHub: tables, code, escaped prose, options of a schema."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import yaml

Schema = Mapping[str, Any]

_WORDS: Final = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true`, `false`",
    "null": "`null`",
}


def prose(text: str) -> str:
    """Return text that Markdown shows as it is; code in backticks stays code, papers are linked."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([*<~\\])", r"\\\1", part) for part in parts[::2]]
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[\g<0>](https://arxiv.org/abs/\1)", "".join(parts))


def code(text: str, language: str = "text") -> str:
    """Return a block of code."""
    return f"```{language}\n{text.rstrip()}\n```"


def in_yaml(document: object, *, line: bool = False) -> str:
    """Return a document in YAML, small parts on one line; or all of it on one."""
    flow, width = (True, math.inf) if line else (None, 100)
    return yaml.safe_dump(
        document, sort_keys=False, default_flow_style=flow, width=width, allow_unicode=True
    ).rstrip()


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; an empty cell is a dash."""
    lines = [heads, ["---"] * len(heads), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|") or "-"


def listed(names: Iterable[str]) -> str:
    """Return names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def options(schema: Schema) -> list[tuple[str, str, str, str]]:
    """Return the options of an entry's JSON Schema: name, default, values, meaning."""
    defs: Mapping[str, Schema] = schema.get("$defs", {})
    properties: Mapping[str, Schema] = schema["properties"]
    return [
        (
            f"`{name}`",
            f"`{json.dumps(option['default'])}`" if "default" in option else "to be given",
            _values(option, defs),
            prose(option.get("description", "")),
        )
        for name, option in properties.items()
        if name != "name"
    ]


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
