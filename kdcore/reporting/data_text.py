"""The data report as text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kdcore.data_report import ColumnTold, Copies, DataReport, Sizes

_SHOWN: Final = 10
_MOST_ROWS: Final = 30


def as_text(report: DataReport) -> str:
    """Return what a data set is like, in lines."""
    return "\n".join(_lines(report))


def _lines(report: DataReport) -> Iterator[str]:
    yield f"{report.data}: {report.num_classes} classes, fingerprint {report.fingerprint[:16]}"
    yield ""
    heads = ("part", "samples", "labelled", "unlabelled")
    yield from _table(
        heads,
        (
            (part, f"{one.samples:,}", f"{one.labelled:,}", f"{one.unlabelled:,}")
            for part, one in report.parts.items()
        ),
    )
    yield ""
    rows = [
        (one.name, *(f"{one.counts[part]:,}" for part in report.parts)) for one in report.classes
    ]
    yield from _table(("class", *report.parts), rows)
    if report.imbalance:
        yield ""
        times = f"{report.imbalance:.3g}"
        yield f"the largest class has {times} times the training samples of the smallest"
    if report.sizes:
        yield _sizes(report.sizes, report.image_size)
    if report.columns:
        yield ""
        heads = ("column", "missing", "different", "smallest", "mean", "largest")
        yield from _table(heads, map(_column, report.columns))
    if report.duplicates.groups:
        yield ""
        yield f"{report.duplicates.groups:,} different samples stand there more than once:"
        for one in report.duplicates.shown[:_SHOWN]:
            yield f"  {_copies(one)}"
        yield from _more(report.duplicates.groups)
    if report.faults.count:
        yield ""
        yield f"{report.faults.count:,} cannot be used:"
        for fault in report.faults.shown[:_SHOWN]:
            yield f"  {fault.name}: {fault.reason}"
        yield from _more(report.faults.count)
    yield ""
    for note in report.notes:
        yield f"warning: {note.message} ({note.hint})"
    if not report.notes:
        yield "nothing to warn of"


def _sizes(sizes: Sizes, image_size: tuple[int, int] | None) -> str:
    smallest, largest, most = (
        f"{height} x {width}" for height, width in (sizes.smallest, sizes.largest, sizes.most)
    )
    brought = f"; each was brought to {image_size[0]} x {image_size[1]}" if image_size else ""
    return (
        f"images from {smallest} to {largest} pixels (height x width); {sizes.share:.0%} are "
        f"{most}{brought}"
    )


def _more(count: int) -> Iterator[str]:
    if count > _SHOWN:
        yield f"  and {count - _SHOWN:,} more; --json and --html tell them"


def _copies(one: Copies) -> str:
    samples = "; ".join(
        f"{sample.part} {sample.name} ({'no label' if sample.label is None else sample.label})"
        for sample in one.samples
    )
    more = f" and {one.count - len(one.samples)} more" if one.count > len(one.samples) else ""
    return samples + more


def _column(one: ColumnTold) -> tuple[str, ...]:
    values = (
        "" if value is None else f"{value:.6g}" for value in (one.minimum, one.mean, one.maximum)
    )
    return (one.name, f"{one.missing:,}", f"{one.distinct:,}", *values)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield rows in columns, the first to the left and the others to the right."""
    told = list(rows)
    shown = [heads, *told[:_MOST_ROWS]]
    widths = [max(len(row[place]) for row in shown) for place in range(len(heads))]
    for row in shown:
        first, *others = (
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join((first, *others)).rstrip()
    if len(told) > _MOST_ROWS:
        yield f"and {len(told) - _MOST_ROWS} more"
