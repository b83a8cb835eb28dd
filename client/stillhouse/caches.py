"""What commands show of teacher caches."""

from __future__ import annotations

from collections import Counter

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stillhouse.cache_bodies import CachedSheet, TeacherCache
from stillhouse.tables import table_of
from stillhouse.words import age, duration, size


def caches_table(caches: list[TeacherCache]) -> Table:
    """Caches, one a line."""
    table = table_of("key", "teacher", "data", "sheets", "size", "took", "used", "")
    for cache in caches:
        table.add_row(
            cache["key"],
            Text(cache["teacher"]),
            Text(cache["data"]),
            str(len(cache["sheets"])),
            size(cache["bytes"]),
            duration(cache["seconds"]),
            f"{age(cache['used_at'])} ago",
            _state(cache),
        )
    table.columns[0].no_wrap = True
    return table


def cache_view(cache: TeacherCache) -> RenderableType:
    """One cache: whose answers, about what, and in which views."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    facts.add_row("key", cache["key"])
    facts.add_row("teacher", Text(cache["teacher"]))
    facts.add_row("weights", f"sha256 {cache['weights_sha256']}")
    facts.add_row("data", Text(cache["data"]))
    facts.add_row("inputs and labels", f"sha256 {cache['data_sha256']}")
    if cache["validation_size"]:
        facts.add_row("validation samples", str(cache["validation_size"]))
    facts.add_row("size", size(cache["bytes"]))
    facts.add_row("took", duration(cache["seconds"]))
    facts.add_row("created", cache["created_at"])
    facts.add_row("used", cache["used_at"])
    if state := _state(cache):
        facts.add_row("state", state)
    sheets = table_of(
        "part", "views", "changed by", "tap", "samples", "shape", "kept as", "asked in"
    )
    for row, views in Counter(map(_row, cache["sheets"])).items():
        part, changes, *others = row
        seen = "as it is" if changes == "-" else str(views)
        sheets.add_row(part, seen, Text(changes), *map(Text, others))
    return Group(facts, "", sheets)


def _row(sheet: CachedSheet) -> tuple[str, ...]:
    """Return what sheets of one kind have in common: all but the number of the view."""
    changes = sheet["augmentation"] or {}
    kept = sheet["dtype"] + (f", top {sheet['top_k']}" if sheet["top_k"] else "")
    return (
        sheet["part"],
        ", ".join(f"{key} {value}" for key, value in changes.items() if value) or "-",
        sheet["tap"],
        f"{sheet['samples']:,}",
        "x".join(map(str, sheet["shape"])),
        kept,
        sheet["precision"],
    )


def _state(cache: TeacherCache) -> str:
    return ", ".join(
        word for word, is_so in (("pinned", cache["pinned"]), ("in use", cache["in_use"])) if is_so
    )
