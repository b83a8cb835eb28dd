"""Writes `docs/http`: every route and every body of the HTTP API, from its OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from api.app import create_app
from jobs.settings import Settings
from kdcore.catalog import AXES
from scripts.markdown import prose, table

Schema = Mapping[str, Any]

FOLDER: Final = Path(__file__).parents[1] / "docs" / "http"

_NOTE: Final = "<!-- Written by `make docs` from the OpenAPI description of `api/`: edit there. -->"
_EVERYWHERE: Final = ("400", "401", "403", "408", "413", "415", "429", "503")
"""Refusals that any route may answer with; told once."""
_NO_WORDS: Final = "Successful Response"
_PLAIN: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true`, `false`",
    "null": "`null`",
    "object": "object",
}
ENTRIES: Final = {
    entry.__name__: f"an entry of [{axis}](../methods/{page})"
    for axis, entries in AXES.items()
    for page in ["README.md" if axis == "methods" else f"{axis}.md"]
    for entry in entries.values()
}
"""What the pages of the catalogue tell, by the names of their schemas."""
_WAYS: Final = """\
Bodies are JSON; a spec may be YAML as well (`Content-Type: application/yaml`). Moments are ISO 8601
in UTC, sizes bytes, times seconds. Every list answers `data`, `has_more` and `next_cursor`, which
is `after` of the next page. The machine-readable description is `GET /openapi.json`.

Every refusal is an `application/problem+json` body ([`ProblemBody`](bodies.md#problembody),
RFC 9457) with a stable `code`, a `hint`, a `request_id`, and for wrong fields JSON pointers with
what was found and what was expected. These may come from any route:
"""


def pages() -> dict[str, str]:
    """Return every page by its file's name."""
    description = create_app(Settings()).openapi()
    routes: dict[str, list[str]] = {}
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            told = "\n\n".join(_route(method.upper(), path, route))
            routes.setdefault(route["tags"][0], []).append(told)
    schemas: dict[str, Schema] = description["components"]["schemas"]
    found = {_file(tag): _page(f"# HTTP: {tag}", *told) for tag, told in routes.items()}
    return {"README.md": _index(description, list(routes)), "bodies.md": _bodies(schemas), **found}


def _file(tag: str) -> str:
    return f"{tag.replace(' ', '-')}.md"


def _index(description: Schema, tags: list[str]) -> str:
    rows: dict[str, list[str]] = {tag: [] for tag in tags}
    for path, methods in description["paths"].items():
        for method, route in methods.items():
            rows[route["tags"][0]].append(f"`{method.upper()} {path}`")
    answers: dict[str, str] = {}
    for methods in description["paths"].values():
        for route in methods.values():
            answers |= {
                status: answer["description"]
                for status, answer in route["responses"].items()
                if status in _EVERYWHERE
            }
    refusals = table(("status", "when"), [(status, answers[status]) for status in sorted(answers)])
    routes = [(f"[{tag}]({_file(tag)})", "<br>".join(told)) for tag, told in rows.items()]
    told = ", ".join(f"`{event}`" for event in description["webhooks"])
    return _page(
        "# HTTP reference",
        _WAYS + "\n" + refusals,
        table(("", "routes"), routes),
        "Fields of all bodies: [bodies](bodies.md).",
        f"What [webhooks](../webhooks.md) are told of: {told}; the bodies are "
        "[`JobMessage`](bodies.md#jobmessage) and [`SweepMessage`](bodies.md#sweepmessage).",
    )


def _route(method: str, path: str, route: Schema) -> Iterator[str]:
    yield f"## `{method} {path}`"
    yield prose(route.get("description", route["summary"]))
    if parameters := route.get("parameters"):
        rows = [
            (
                f"`{one['name']}`",
                one["in"],
                _takes(one["schema"]),
                prose(one.get("description", "")),
            )
            for one in parameters
        ]
        yield table(("parameter", "in", "takes", ""), rows)
    if body := route.get("requestBody"):
        kinds = [
            f"`{kind}`: {_shape(one.get('schema', {}))}" for kind, one in body["content"].items()
        ]
        yield "Body: " + "; ".join(dict.fromkeys(kinds)) + "."
    rows = [
        (status, _content(answer), prose(answer["description"].replace(_NO_WORDS, "")))
        for status, answer in sorted(route["responses"].items())
        if status not in _EVERYWHERE
    ]
    yield table(("status", "body", ""), rows)


def _content(answer: Schema) -> str:
    kinds = answer.get("content", {})
    problem = "application/problem+json"
    if problem in kinds:
        return "[problem](bodies.md#problembody)"
    shapes = [
        _shape(one["schema"]) if kind == "application/json" else f"`{kind}`"
        for kind, one in kinds.items()
    ]
    return ", ".join(dict.fromkeys(shapes))


def _takes(schema: Schema) -> str:
    default = schema.get("default")
    told = _shape(schema)
    return told if default is None else f"{told}; else `{json.dumps(default)}`"


def _shape(schema: Schema, page: str = "bodies.md") -> str:
    """Say in words what a schema takes or tells."""
    if kinds := schema.get("anyOf", schema.get("oneOf", schema.get("allOf", []))):
        return _union(list(dict.fromkeys(_shape(kind, page) for kind in kinds)))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return ENTRIES.get(name, f"[`{name}`]({page}#{name.lower()})")
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return ", ".join(f"`{choice}`" for choice in choices)
    if schema.get("type") == "array":
        return f"list of {_shape(schema.get('items', {}), page)}"
    values: Schema | bool = schema.get("additionalProperties", False)
    if isinstance(values, Mapping):
        return f"by name: {_shape(values, page)}"
    return _PLAIN.get(str(schema.get("type")), "anything")


def _union(told: list[str]) -> str:
    if any(one in ENTRIES.values() for one in told):
        # Their names alone are taken as well, which is as long a list once more.
        told = [one for one in told if ", " not in one]
    return " or ".join(told)


def _bodies(schemas: Mapping[str, Schema]) -> str:
    told = [
        "\n\n".join(_body(name, schema))
        for name, schema in sorted(schemas.items(), key=lambda one: one[0].lower())
        if name not in ENTRIES
    ]
    links = ", ".join(
        f"[{name}](#{name.lower()})"
        for name in sorted(schemas, key=str.lower)
        if name not in ENTRIES
    )
    return _page("# HTTP: bodies", links, *told)


def _body(name: str, schema: Schema) -> Iterator[str]:
    yield f"## {name}"
    if about := schema.get("description"):
        yield prose(about)
    if properties := schema.get("properties"):
        rows = [
            (f"`{field}`", _shape(one, ""), prose(one.get("description", "")))
            for field, one in properties.items()
        ]
        yield table(("field", "", "meaning"), rows)
    elif told := _shape({key: value for key, value in schema.items() if key != "description"}, ""):
        yield told[:1].upper() + told[1:] + "."


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((title, _NOTE, *(part.strip() for part in parts))) + "\n"
