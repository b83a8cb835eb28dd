"""The catalogue: every entry of every axis, and what can be said about it."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping

from pydantic import BaseModel, JsonValue

from kdcore.datasets import DATASETS
from kdcore.entry import Entry, discover
from kdcore.method import Method
from kdcore.models import MODELS
from kdcore.objective import Objective
from kdcore.objectives import OBJECTIVES
from kdcore.paths import PATHS
from kdcore.temperatures import TEMPERATURES
from kdcore.weightings import WEIGHTINGS

METHODS: Mapping[str, type[Method]] = discover(
    "kdcore.objectives", "kdcore.temperatures", "kdcore.weightings", "kdcore.paths", contract=Method
)
"""The papers: each a combination on the axes, found in the file of the entry it rests on."""

AXES: Mapping[str, Mapping[str, type[Entry]]] = {
    "methods": METHODS,
    "objectives": OBJECTIVES,
    "temperatures": TEMPERATURES,
    "weightings": WEIGHTINGS,
    "paths": PATHS,
    "models": MODELS,
    "datasets": DATASETS,
}
"""Every entry by axis and name."""

HEADINGS = ("Formula", "Shapes", "Paper", "Source")
"""What the docstring of an entry's file must tell."""


def describe(axis: str, entry: type[Entry]) -> dict[str, JsonValue]:
    """Return what is known of an entry: its four headings, its defaults, its JSON Schema."""
    module = inspect.getdoc(sys.modules[entry.__module__]) or ""
    summary = (inspect.getdoc(entry) or "").strip()
    described: dict[str, JsonValue] = {
        "axis": axis,
        "name": entry.model_fields["name"].default,
        "summary": summary,
        **_headings(module),
        "arxiv": re.findall(r"arXiv:(\d{4}\.\d{4,5})", module),
        "defaults": _defaults(entry),
        "schema": entry.model_json_schema(),
    }
    if issubclass(entry, Objective):
        described["needs_teacher"] = entry.needs_teacher
        described["softens_logits"] = entry.softens
    if issubclass(entry, Method):
        described["title"] = entry.title
        described["axes"] = _axes(entry)
    return described


def _headings(docstring: str) -> dict[str, JsonValue]:
    """Split a docstring at its four headings; each body's indentation is taken off."""
    parts = re.split(rf"^({'|'.join(HEADINGS)})$", docstring, flags=re.MULTILINE)
    bodies = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {heading.lower(): inspect.cleandoc(bodies.get(heading, "")) for heading in HEADINGS}


def _defaults(entry: type[Entry]) -> dict[str, JsonValue]:
    defaults: dict[str, JsonValue] = {}
    for name, field in entry.model_fields.items():
        if name == "name" or field.is_required():
            continue
        value = field.get_default(call_default_factory=True, validated_data={})
        defaults[name] = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return defaults


def _axes(method: type[Method]) -> dict[str, JsonValue]:
    """Return the axes that the method writes by default; lists that it requires are empty."""
    required: dict[str, list[str]] = {
        name: [] for name, field in method.model_fields.items() if field.is_required()
    }
    return method.model_validate(required).axes()
