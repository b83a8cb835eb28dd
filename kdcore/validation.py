"""From a document that somebody wrote to clear words about what is wrong with it."""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass
from typing import Any, cast

from pydantic import BaseModel, JsonValue, ValidationError

_SHOWN = 80


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
    schema = model.model_json_schema()
    problems: list[FieldProblem] = []
    for fault in error.errors(include_url=False):
        context = fault.get("ctx", {})
        location = _location(fault["loc"], document)
        pointer = context.get("pointer") or _pointer(location)
        code, message, hint = fault["type"], fault["msg"], None
        match code:
            case "extra_forbidden":
                key = str(location[-1])
                known = _known_keys(schema, location[:-1], document)
                message = f"found the unknown key {key!r}; expected one of {', '.join(known)}"
                hint = _nearest(key, known)
            case "union_tag_invalid":
                known = [tag.strip("'") for tag in context["expected_tags"].split(", ")]
                tag = str(context["tag"])
                message = f"found {_shown(tag)}; expected one of {', '.join(known)}"
                hint = _nearest(tag, known)
                pointer = pointer or "/"
            case "union_tag_not_found":
                message = f"found {_shown(fault['input'])} without a name; expected a name"
            case "model_type" | "dict_type" | "model_attributes_type":
                message = f"found {_shown(fault['input'])}; expected an object"
            case "missing":
                message = "found nothing; this key is required"
            case "value_error":
                message = str(context.get("error", message))
            case _ if not message.startswith("found "):
                message = f"found {_shown(fault['input'])}; {_lower(message)}"
            case _:
                pass
        problems.append(FieldProblem(pointer, code, message, hint))
    return problems


def _location(loc: tuple[int | str, ...], document: object) -> list[int | str]:
    """Drop the parts of a pydantic location that are names of union members and not keys."""
    path: list[int | str] = []
    here: Any = document
    for place, part in enumerate(loc):
        if isinstance(here, dict) and part in here:
            here = cast("dict[Any, Any]", here)[part]
        elif (
            isinstance(here, list) and isinstance(part, int) and part < len(cast("list[Any]", here))
        ):
            here = cast("list[Any]", here)[part]
        elif place < len(loc) - 1 or _is_tag(part, here):
            continue
        path.append(part)
    return path


def _is_tag(part: int | str, here: Any) -> bool:
    if isinstance(here, dict):
        return cast("dict[str, Any]", here).get("name") == part
    return here == part


def _pointer(location: list[int | str]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _known_keys(schema: dict[str, Any], location: list[int | str], document: object) -> list[str]:
    """Return the keys that the schema knows at a place of the document."""
    node, here = schema, document
    for part in [*location, None]:
        node = _resolve(schema, node, here)
        if part is None:
            break
        node = node.get("items", {}) if isinstance(part, int) else node["properties"].get(part, {})
        here = cast("Any", here)[part]
    return list(node.get("properties", {}))


def _resolve(schema: dict[str, Any], node: dict[str, Any], here: object) -> dict[str, Any]:
    """Follow references and pick the member of a union that the document's `name` asks for."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        elif "discriminator" in node:
            name = cast("dict[str, Any]", here).get("name")
            node = {"$ref": node["discriminator"]["mapping"][name]}
        elif "anyOf" in node:
            wanted = ("$ref", "discriminator", "properties")
            node = next(form for form in node["anyOf"] if any(key in form for key in wanted))
        else:
            return node


def _nearest(word: object, known: list[str]) -> str | None:
    near = difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
