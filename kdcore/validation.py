"""From a document that somebody wrote to clear words about what is wrong with it."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, cast

from pydantic import BaseModel, JsonValue, ValidationError

_SHOWN = 80
_LONGEST = 1000
"""Characters of a message; only an echo of what was sent is longer."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing that is wrong in a document."""

    pointer: str
    """Where: a JSON pointer (RFC 6901)."""
    code: str
    """What kind, a stable word."""
    message: str
    """What was found and what was expected."""
    hint: str | None = None
    """The way out, where there is an obvious one."""

    def as_dict(self) -> dict[str, JsonValue]:
        """Return the problem as JSON."""
        return asdict(self)


def explain(error: ValidationError, model: type[BaseModel], document: object) -> list[FieldProblem]:
    """Say of each error where it is, what was found and expected, and what was probably meant."""
    schema = _schema(model)
    problems: list[FieldProblem] = []
    for fault in error.errors(include_url=False):
        context = fault.get("ctx", {})
        location = _location(fault["loc"], document, is_missing=fault["type"] == "missing")
        pointer = context.get("pointer") or _pointer(location)
        code, message, hint = fault["type"], fault["msg"], context.get("hint")
        match code:
            case "extra_forbidden":
                key = str(location[-1])
                known = _known_keys(schema, fault["loc"][:-1])
                message = f"found the unknown key {key!r}; expected one of {', '.join(known)}"
                hint = _nearest(key, known)
            case "union_tag_invalid":
                known = [tag.strip("'") for tag in context["expected_tags"].split(", ")]
                tag = str(context["tag"])
                message = f"found {_shown(tag)}; expected one of {', '.join(known)}"
                hint = _nearest(tag, known + _known_words(schema, fault["loc"]))
                pointer = pointer or "/"
            case "union_tag_not_found":
                message = f"found {_shown(fault['input'])} without a name; expected a name"
            case "model_type" | "dict_type" | "model_attributes_type":
                message = f"found {_shown(fault['input'])}; expected an object"
            case "missing":
                message = "found nothing; this key is required"
                if location[-1:] != [key := fault["loc"][-1]]:  # a word stands for the whole
                    message = f"found a name alone; the key {key!r} is required beside it"
            case "value_error":
                message = str(context.get("error", message))
            case _ if not message.startswith("found "):
                message = f"found {_shown(fault['input'])}; {_lower(message)}"
            case _:
                pass
        problems.append(FieldProblem(pointer, code, _short(message), hint))
    return problems


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _location(loc: tuple[int | str, ...], document: object, *, is_missing: bool) -> list[int | str]:
    """Drop the parts of a pydantic location that are names of union members and not keys."""
    path: list[int | str] = []
    here: Any = document
    for place, part in enumerate(loc):
        if path and not isinstance(here, dict | list):
            break  # a short form: what it stands for is not written in the document
        if isinstance(here, dict) and part in here:
            here = cast("dict[Any, Any]", here)[part]
        elif (
            isinstance(here, list) and isinstance(part, int) and part < len(cast("list[Any]", here))
        ):
            here = cast("list[Any]", here)[part]
        elif (
            not is_missing or place < len(loc) - 1 or _is_tag(part, here) or isinstance(here, list)
        ):
            continue
        path.append(part)
    return path


def _is_tag(part: int | str, here: Any) -> bool:
    if isinstance(here, dict):
        return cast("dict[str, Any]", here).get("name") == part
    return here == part


def _pointer(location: list[int | str]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _known_keys(schema: dict[str, Any], loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the schema knows at a pydantic location."""
    forms = _forms(schema, loc)
    return list(dict.fromkeys(key for form in forms for key in form.get("properties", {})))


def _known_words(schema: dict[str, Any], loc: tuple[int | str, ...]) -> list[str]:
    """Return the words that may stand at a pydantic location."""
    return [word for form in _forms(schema, loc) for word in form.get("enum", [])]


def _forms(schema: dict[str, Any], loc: tuple[int | str, ...]) -> list[dict[str, Any]]:
    """Return the plain forms that the schema allows at a pydantic location."""
    forms = [schema]
    for part in loc:
        # A part that leads nowhere is the name of a form that is not written in the document.
        forms = [below for form in forms for below in _below(schema, form, part)] or forms
    return [kind for form in forms for kind in _kinds(schema, form)]


def _kinds(schema: dict[str, Any], node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the plain forms of a node, references and unions followed."""
    if "$ref" in node:
        return _kinds(schema, schema["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    union = node.get("anyOf") or node.get("oneOf")
    return [kind for form in union for kind in _kinds(schema, form)] if union else [node]


def _below(schema: dict[str, Any], node: dict[str, Any], part: int | str) -> list[dict[str, Any]]:
    """Return what a part of a location leads to: a key, an item, or a member of a union."""
    found: list[dict[str, Any]] = []
    for kind in _kinds(schema, node):
        properties = kind.get("properties", {})
        if isinstance(part, int):
            found += [kind["items"]] if "items" in kind else []
        elif part in properties:
            found.append(properties[part])
        elif properties.get("name", {}).get("const") == part:
            found.append(kind)
    return found


def _nearest(word: object, known: list[str]) -> str | None:
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _short(message: str) -> str:
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
