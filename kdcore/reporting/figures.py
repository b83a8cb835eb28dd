"""Figures as SVG: drawn once, without a script, the same wherever the report is shown.

Colours are classes of the page's style sheet, so that a figure follows it into the dark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup, escape

from kdcore.quality import Calibration, ClassScore, LabelScore
from kdcore.reporting.changed import gained, most_changed
from kdcore.reporting.record import Point

_SIDE: Final = 260
_MARGIN: Final = 46
_ROW: Final = 20
_MOST_ROWS: Final = 24
_NAMES: Final = 130
_LETTER: Final = 7
_DRAWN: Final = {"teacher", "student", "baseline", "int8"}


def reliability(networks: Mapping[str, Calibration]) -> Markup:
    """Draw how often networks are right against how sure they are."""
    size = _SIDE - _MARGIN - 10
    parts = [_frame(size), _ticks(size, "confidence", "accuracy")]
    parts.append(_segment("even", (0, 0), (1, 1), size))
    told: list[str] = []
    for name, one in networks.items():
        points = [_at(bin_.confidence, bin_.accuracy, size) for bin_ in one.bins]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="line {name}" points="{path}"/>')
        largest = max(bin_.count for bin_ in one.bins)
        parts += [
            f'<circle class="dot {name}" cx="{x:.1f}" cy="{y:.1f}" '
            f'r="{1.5 + 3 * math.sqrt(bin_.count / largest):.1f}"/>'
            for (x, y), bin_ in zip(points, one.bins, strict=True)
        ]
        told.append(f"{name}: expected calibration error {one.ece:.1%}")
    return _svg(_SIDE, _SIDE, "Reliability. " + "; ".join(told), parts)


def tradeoff(points: Sequence[Point], cost: str, caption: str, score: str) -> Markup | None:
    """Draw scores against a cost, the field of a point; None for fewer than two points."""
    costs = {one.network: getattr(one, cost) for one in points}
    known = [one for one in points if costs[one.network] and one.network in _DRAWN]
    if len(known) < 2:  # noqa: PLR2004  # one point is no trade-off
        return None
    sizes = [math.log10(costs[one.network]) for one in known]
    heights = [one.score for one in known]
    low, high = min(sizes) - 0.2, max(sizes) + 0.2
    room = max(max(heights) - min(heights), 0.02)
    bottom, top = min(heights) - room / 3, min(max(heights) + room / 3, 1.0)
    if min(heights) >= 0:
        bottom = max(bottom, 0.0)
    size = _SIDE - _MARGIN - 10
    parts = [_frame(size)]
    for share in (0.0, 0.5, 1.0):
        level = bottom + share * (top - bottom)
        x, y = _at(0, share, size)
        parts.append(f'<text class="end" x="{x - 5}" y="{y + 4:.1f}">{100 * level:.1f}</text>')
    parts.append(_caption(size, f"{caption}, log scale", f"{score}, %"))
    told: list[str] = []
    for one, magnitude in zip(known, sizes, strict=True):
        across = (magnitude - low) / (high - low)
        x, y = _at(across, (one.score - bottom) / (top - bottom), size)
        parts.append(f'<circle class="dot {one.network}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        side, shift = ("end", -9) if across > 1 / 2 else ("start", 9)
        below = {"baseline": 14, "int8": -8}.get(one.network, 4)
        parts.append(
            f'<text class="{side}" x="{x + shift:.1f}" y="{y + below:.1f}">{one.network}</text>'
        )
        told.append(f"{one.network}: {one.score:.1%} with {costs[one.network]:,.5g} {caption}")
    return _svg(_SIDE, _SIDE, f"{score} against {caption}. " + "; ".join(told), parts)


def changes(classes: Sequence[ClassScore] | Sequence[LabelScore], score: str) -> Markup:
    """Draw what distillation changed in each class; of many, in those where it changed most."""
    shown = sorted(most_changed(classes, _MOST_ROWS), key=lambda one: one.label)
    widest = max([abs(gained(one)) for one in shown], default=0.0) or 1.0
    names = min(_NAMES, 12 + _LETTER * max([len(one.name) for one in shown], default=0))
    half, height = 130, _ROW * len(shown) + 8
    middle = names + half
    parts = [f'<line class="axis" x1="{middle}" x2="{middle}" y1="0" y2="{height}"/>']
    for place, one in enumerate(shown):
        y, change = place * _ROW + 4, gained(one)
        length = abs(change) / widest * (half - 52)
        start = middle if change >= 0 else middle - length
        kind = "gain" if change >= 0 else "loss"
        name = one.name if len(one.name) <= 18 else one.name[:17] + "…"  # noqa: PLR2004  # fits
        parts.append(
            f'<text class="end" x="{names - 6}" y="{y + 12}">{escape(name)}</text>'
            f'<rect class="{kind}" x="{start:.1f}" y="{y}" width="{length:.1f}" height="12"/>'
        )
        side, x = ("start", start + length + 5) if change >= 0 else ("end", start - 5)
        parts.append(f'<text class="{side}" x="{x:.1f}" y="{y + 11}">{100 * change:+.1f}</text>')
    told = ", ".join(f"{one.name} {100 * gained(one):+.1f}" for one in shown)
    return _svg(names + 2 * half, height, f"Change of {score} by class, in points: {told}", parts)


def confusion(counts: Sequence[Sequence[int]], names: Sequence[str]) -> Markup:
    """Draw which class was taken for which, row by row; what is right lies on the diagonal."""
    size = len(counts)
    cell = max(2, min(28, 420 // size))
    few = cell > _ROW
    left = min(90, 12 + _LETTER * max(map(len, names))) if few else 0
    parts: list[str] = []
    for row, answers in enumerate(counts):
        total = sum(answers) or 1
        if few:
            parts.append(
                f'<text class="end" x="{left - 6}" y="{row * cell + cell * 0.68:.1f}">'
                f"{escape(names[row][:12])}</text>"
            )
        for column, number in enumerate(answers):
            if not number:
                continue
            x, y, share = left + column * cell, row * cell, number / total
            kind = "gain" if row == column else "loss"
            parts.append(
                f'<rect class="{kind}" x="{x}" y="{y}" width="{cell}" height="{cell}" '
                f'fill-opacity="{0.15 + 0.85 * share:.2f}"><title>{escape(names[row])} as '
                f"{escape(names[column])}: {number}</title></rect>"
            )
            if few:
                middle = f'x="{x + cell / 2}" y="{y + cell * 0.66:.1f}"'
                ink = "cell on" if share > 1 / 2 else "cell"
                parts.append(f'<text class="{ink}" {middle}>{number}</text>')
    side = size * cell
    parts.append(f'<rect class="frame" x="{left}" y="0" width="{side}" height="{side}"/>')
    return _svg(left + side + 1, side + 1, "Confusion: rows are labels, columns answers", parts)


def _at(x: float, y: float, size: int) -> tuple[float, float]:
    return _MARGIN + x * size, 10 + (1 - y) * size


def _segment(kind: str, start: tuple[float, float], end: tuple[float, float], size: int) -> str:
    (x1, y1), (x2, y2) = _at(*start, size), _at(*end, size)
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _frame(size: int) -> str:
    return f'<rect class="frame" x="{_MARGIN}" y="10" width="{size}" height="{size}"/>'


def _ticks(size: int, across: str, up: str) -> str:
    marks: list[str] = []
    for share in (0.0, 0.5, 1.0):
        x, y = _at(share, share, size)
        marks.append(f'<text class="mid" x="{x:.1f}" y="{size + 24}">{share:g}</text>')
        marks.append(f'<text class="end" x="{_MARGIN - 5}" y="{y + 4:.1f}">{share:g}</text>')
    return "".join(marks) + _caption(size, across, up)


def _caption(size: int, across: str, up: str) -> str:
    middle, height = _MARGIN + size / 2, 10 + size / 2
    return (
        f'<text class="mid" x="{middle}" y="{_SIDE - 2}">{across}</text>'
        f'<text class="mid" transform="rotate(-90 9 {height})" x="9" y="{height}">{up}</text>'
    )


def _svg(width: int, height: int, said: str, parts: Sequence[str]) -> Markup:
    head = f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img"'
    return Markup(f'{head} aria-label="{escape(said)}">{"".join(parts)}</svg>')  # noqa: S704
