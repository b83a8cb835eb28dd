"""Everything that a spec can ask for has a limit, and the operator's limits are told as such."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from specs import document

from jobs.limits import beyond
from jobs.settings import Settings
from jobs.spec import JobSpec
from kdcore.recipe import Recipe

_ENDLESS = ("*", "+", "{0,}", "{1,}")


def is_bounded(node: dict[str, Any]) -> bool:
    """Tell whether a value that fits this form alone, its members aside, is of a known size."""
    if "enum" in node or "const" in node:
        return True
    match node.get("type"):
        case "integer" | "number":
            lowest = {"minimum", "exclusiveMinimum"} & node.keys()
            return bool(lowest and {"maximum", "exclusiveMaximum"} & node.keys())
        case "string":
            endless = any(sign in node.get("pattern", "*") for sign in _ENDLESS)
            return "maxLength" in node or not endless
        case "array":
            return "maxItems" in node
        case "object":
            return node.get("additionalProperties") is False or "maxProperties" in node
        case _:
            return True


def unbounded(schema: dict[str, Any]) -> Iterator[str]:
    """Walk a schema, and yield every place where a value may be as large as one likes."""
    waiting = [("spec", schema)]
    waiting += [(name, definition) for name, definition in schema["$defs"].items()]
    while waiting:
        place, node = waiting.pop()
        if not is_bounded(node):
            yield place
        for kind in ("anyOf", "oneOf", "allOf"):
            waiting += [(place, form) for form in node.get(kind, ())]
        if "items" in node:
            waiting.append((f"{place}[]", node["items"]))
        waiting += [(f"{place}.{key}", child) for key, child in node.get("properties", {}).items()]


def test_no_number_text_or_list_of_a_spec_may_be_as_large_as_one_likes():
    # A bare number is the value of the temperature `fixed`, which is bounded.
    assert set(unbounded(JobSpec.model_json_schema())) == {"spec.temperature"}


def told(fields: dict[str, Any], **limits: int) -> list[tuple[str, str]]:
    spec = JobSpec.model_validate(document(**fields))
    return [(one.pointer, one.code) for one in beyond(spec, Settings(**limits))]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, []),
        ({"max_parameters": 50}, [("/teacher/model", "too_many_parameters")]),
        ({"max_steps": 10}, [("/training", "too_many_steps")]),
    ],
)
def test_the_operator_says_how_much_a_job_may_take(limits, expected):
    assert told({}, **limits)[: len(expected) or None] == expected


def test_memory_and_disk_are_bounded_by_what_is_known_beforehand():
    wide = {"student": {"model": {"name": "mlp", "hidden": [8192, 8192]}}}
    assert told(wide) == []
    assert told(wide, max_memory_bytes=5 * 10**8) == [
        ("/training/per_device_train_batch_size", "too_much_memory")
    ]
    assert told(wide, max_disk_bytes=5 * 10**8) == [("/training/save_total_limit", "too_much_disk")]


def test_a_library_user_has_no_operator():
    huge = {"teacher": "mlp", "student": {"model": {"name": "mlp", "hidden": [65_536] * 9}}}
    Recipe.model_validate({**huge, "data": {"name": "synthetic"}})
