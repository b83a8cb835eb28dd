"""Jobs beside each other, as tables for people: on a terminal, and in Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stillhouse.comparison import ComparedJob, ComparedMetric, Comparison, MetricValue
from stillhouse.tables import table_of
from stillhouse.words import number, percent, points, size, whole

_LONGEST: Final = 40
"""Letters of a field's value."""
_SHOWN: Final[Mapping[str, Callable[[float], str]]] = {
    "fraction": percent,
    "ratio": percent,
    "difference": points,
    "count": whole,
    "megabytes": lambda value: size(1e6 * value),
    "milliseconds": lambda value: f"{value:.2g} ms",
    "seconds": lambda value: f"{number(value)} s",
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: what it is about, and a cell for each job."""

    title: str
    cells: Sequence[str]
    best: Sequence[bool] = ()


def comparison_view(found: Comparison) -> RenderableType:
    """A comparison for a terminal: a column for each job, the best in bold with a mark."""
    heads = [job["name"] or job["id"] for job in found["jobs"]]
    parts: list[RenderableType] = [_table("", heads, _head_rows(found["jobs"]))]
    for title, rows in _sections(found):
        parts.append(_table(title, heads, rows))
    if warnings := found["warnings"]:
        parts += [Text(f"warning: {one['message']}", style="yellow") for one in warnings]
    return Group(*parts)


def comparison_markdown(found: Comparison) -> str:
    """A comparison as Markdown, fit for a pull request's comment."""
    heads = [job["name"] or job["id"] for job in found["jobs"]]
    lines = [*_markdown("", heads, _head_rows(found["jobs"]))]
    for title, rows in _sections(found):
        lines += ["", *_markdown(title, heads, rows)]
    for one in found["warnings"]:
        lines += ["", f"> **Warning:** {_escaped(one['message'])}"]
    return "\n".join(lines)


def _head_rows(jobs: Sequence[ComparedJob]) -> Iterator[Row]:
    yield Row("job", [job["id"] for job in jobs])
    yield Row("status", [job["status"] for job in jobs])
    yield Row("verdict", [job["outcome"] or "-" for job in jobs])
    yield Row("gates", [_gates(job) for job in jobs])


def _gates(job: ComparedJob) -> str:
    if not job["gates"]:
        return "-"
    missed = [gate["gate"] for gate in job["gates"] if not gate["passed"]]
    return f"not met: {', '.join(missed)}" if missed else f"{len(job['gates'])} passed"


def _sections(found: Comparison) -> Iterator[tuple[str, list[Row]]]:
    jobs = [job["id"] for job in found["jobs"]]
    if found["metrics"]:
        yield "measured", [_measure(metric, jobs) for metric in found["metrics"]]
    if found["spec_diff"]:
        rows = [
            Row(
                one["pointer"],
                [_field(one["values"][job]) if job in one["values"] else "absent" for job in jobs],
            )
            for one in found["spec_diff"]
        ]
        yield "spec", rows


def _measure(metric: ComparedMetric, jobs: Sequence[str]) -> Row:
    best, show = metric["best"], _SHOWN.get(metric["unit"], number)
    # Where all are equal, nothing stands out.
    marked = (
        best if len(best) < sum(value is not None for value in metric["values"].values()) else []
    )
    cells: list[str] = []
    for job in jobs:
        mark = "" if job not in marked else (" =" if len(marked) > 1 else " *")
        cells.append(_cell(metric["values"][job], show, metric["unit"]) + mark)
    arrow = "↑" if metric["direction"] == "maximize" else "↓"
    return Row(f"{metric['name']} {arrow}", cells, [job in marked for job in jobs])


def _cell(found: MetricValue | None, show: Callable[[float], str], unit: str) -> str:
    if found is None:
        return "-"
    low, high, spread = found["low"], found["high"], found["std"]
    if low is not None and high is not None:
        return f"{show(found['value'])} [{show(low)}, {show(high)}]"
    if not spread:
        return show(found["value"])
    # In the digits of the value, without its unit once more.
    return (
        f"{show(found['value'])} ± {100 * spread:.1f}"
        if unit == "fraction"
        else (f"{show(found['value'])} ± {spread:.2g}")
    )


def _field(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _table(title: str, heads: Sequence[str], rows: Iterator[Row] | Sequence[Row]) -> Table:
    table = table_of(title)
    for head in heads:
        table.add_column(Text(head), justify="right", overflow="fold")
    for row in rows:
        best = row.best or [False] * len(row.cells)
        styled = zip(row.cells, best, strict=True)
        cells = [Text(cell, style="bold green" if mark else "") for cell, mark in styled]
        table.add_row(Text(row.title), *cells)
    return table


def _markdown(
    title: str, heads: Sequence[str], rows: Iterator[Row] | Sequence[Row]
) -> Iterator[str]:
    yield _line([title, *map(_escaped, heads)])
    yield _line(["---", *["---:"] * len(heads)])
    for row in rows:
        best = row.best or [False] * len(row.cells)
        styled = zip(row.cells, best, strict=True)
        cells = [f"**{_escaped(cell)}**" if mark else _escaped(cell) for cell, mark in styled]
        yield _line([f"`{row.title}`" if row.title.startswith("/") else row.title, *cells])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: names come from whoever posted the job."""
    for letter in "\\`*_[]<>|#":
        text = text.replace(letter, f"\\{letter}")
    return text
