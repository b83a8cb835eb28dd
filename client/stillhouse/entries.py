"""What commands show of the catalogue: what an entry needs, what it may join, what may be set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from stillhouse.tables import table_of

Entry = dict[str, Any]
"""What the catalogue tells of an entry; the server's version decides what is in it."""

_NEEDS: Final = {
    "needs_labels": "labels",
    "needs_features": "features",
    "needs_indices": "indices",
    "needs_tokens": "transformers",
    "learns": "layers of its own",
    "changes_student": "a changed student",
    "prepares_teacher": "a prepared teacher",
    "couples_samples": "several samples at once",
}
_AS_THEY_ARE: Final = ("name", "title", "summary", "formula", "shapes", "paper", "source", "plugin")


def entries_table(entries: list[Entry]) -> Table:
    """Entries of the catalogue, one a line."""
    table = table_of("name", "what it does", "needs", "paper")
    table.columns[1].overflow = "fold"
    for entry in entries:
        does = str(entry.get("summary") or "").partition("\n")[0]
        papers: list[str] = entry.get("arxiv") or []
        cited = "\n".join(f"arXiv:{paper}" for paper in papers)
        table.add_row(str(entry.get("name")), Text(does), needs(entry), cited)
    return table


def entry_view(entry: Entry) -> RenderableType:
    """One entry of the catalogue in full."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for word, said in _lines(entry):
        table.add_row(word, Text(said))
    return table


def needs(entry: Entry) -> str:
    """What an entry asks of the data and the networks, in words."""
    return ", ".join(word for key, word in _NEEDS.items() if entry.get(key))


def _lines(entry: Entry) -> Iterator[tuple[str, str]]:
    for key in _AS_THEY_ARE:
        if entry.get(key):
            yield key, str(entry[key])
    if asked := needs(entry):
        yield "needs", asked
    if (entry.get("smallest_batch") or 1) > 1:
        yield "smallest batch", str(entry["smallest_batch"])
    joins: dict[str, dict[str, Any]] = entry.get("joins") or {}
    for axis, joined in joins.items():
        yield f"with {axis}", _joined(joined)
    yield from _options(entry)
    yield from _written(entry)


def _joined(joined: dict[str, Any]) -> str:
    """What of another axis may stand beside an entry, and why the rest may not."""
    entries = ", ".join(joined["entries"])
    said = entries if joined["may"] else f"{entries} alone"
    return f"{said}; not the others: {joined['why_not']}" if joined["why_not"] else said


def _options(entry: Entry) -> Iterator[tuple[str, str]]:
    schema: dict[str, Any] = entry.get("schema") or {}
    defaults: dict[str, Any] = entry.get("defaults") or {}
    for name, option in schema.get("properties", {}).items():
        if name != "name":
            default = json.dumps(defaults[name]) if name in defaults else "to be given"
            told = " ".join(str(option.get("description") or "").split())
            yield f"  {name}", f"{default}: {told}"


def _written(entry: Entry) -> Iterator[tuple[str, str]]:
    """What a method makes of a recipe, and what an architecture is made of."""
    pairs: list[dict[str, Any]] = entry.get("by_pair") or []
    for row in pairs:
        yield f"{row['field']} of a pair", f"{row['value']:g}: {row['teacher']} -> {row['student']}"
    axes: dict[str, Any] = entry.get("axes") or {}
    for axis, written in axes.items():
        yield f"writes {axis}", json.dumps(written, ensure_ascii=False)
    if known := entry.get("known"):
        yield "sizes by name", ", ".join(known)
    if stages := entry.get("stages"):
        told = (f"{name} {'x'.join(map(str, shape))}" for name, shape in stages.items())
        yield "stages at 3x32x32", ", ".join(told)
