"""Curves and dots as SVG, drawn on the server: the same with and without JavaScript, and testable.

One line for each role, the mean over its trainings, with a band from the lowest to the highest.
All colours are classes of the style sheet.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from api.pages.scales import nice
from api.views import stage_role
from jobs.metrics import STEP, Series
from kdcore.tasks import TASKS

WIDTH: Final = 460
HEIGHT: Final = 250
_LEFT: Final = 46
_RIGHT: Final = 12
_TOP: Final = 12
_BOTTOM: Final = 34
_BINS: Final = 80
_LOG_FROM_RATIO: Final = 50.0

ROLES: Final = {
    "teacher": "Teacher",
    "tutor": "Teacher, prepared",
    "assistant": "Assistant",
    "student": "Student, distilled",
    "baseline": "Student, alone",
    "hard_labels": "Student, hard answers",
}
"""Every role that a stage can have, in the order of legends."""

SCORES: Final = sorted({f"validation/{task.metric}" for task in TASKS.values()})
"""Names of the curves of scores, whatever is asked."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """One role's line: for each x, the mean, the lowest and the highest of its trainings."""

    role: str
    xs: list[float]
    means: list[float]
    lows: list[float]
    highs: list[float]
    seeds: int
    trainings: int
    """More than the seeds where several networks have the role, such as a chain of assistants."""
    name: str
    """What a legend calls it."""


def curves(stages: Mapping[str, Series], key: str) -> list[Curve]:
    """Return one line for each role that has values under `key`."""
    by_role: dict[str, list[list[Point]]] = {}
    seeds: dict[str, set[int]] = {}
    for name, series in stages.items():
        column = series.columns.get(key, [])
        steps = series.columns[STEP]
        points = (
            [
                (float(step), float(value))
                for step, value in zip(steps, column, strict=True)
                if step is not None and value is not None
            ]
            if column
            else []
        )
        if points:
            by_role.setdefault(stage_role(name), []).append(points)
            seeds.setdefault(stage_role(name), set()).add(series.seed)
    return [_merge(role, by_role[role], len(seeds[role])) for role in ROLES if role in by_role]


def _merge(role: str, trainings: list[list[Point]], seeds: int) -> Curve:
    """Put the trainings of a role into common bins, so that they can be compared step by step."""
    last = max(points[-1][0] for points in trainings)
    widest = max(len(points) for points in trainings)
    bins = min(_BINS, widest)
    curve = Curve(role, [], [], [], [], seeds, len(trainings), ROLES[role])
    width = (last or 1.0) / bins
    filled: list[dict[int, tuple[float, float]]] = []
    for points in trainings:
        groups: dict[int, list[Point]] = {}
        for step, value in points:
            groups.setdefault(min(int(step / width), bins - 1), []).append((step, value))
        filled.append(
            {
                place: (
                    statistics.fmean(x for x, _ in group),
                    statistics.fmean(y for _, y in group),
                )
                for place, group in groups.items()
            }
        )
    for place in range(bins):
        found = [groups[place] for groups in filled if place in groups]
        if found:
            values = [value for _, value in found]
            curve.xs.append(statistics.fmean(step for step, _ in found))
            curve.means.append(statistics.fmean(values))
            curve.lows.append(min(values))
            curve.highs.append(max(values))
    return curve


@dataclass(frozen=True, slots=True)
class Scale:
    """How a value becomes a height."""

    low: float
    high: float
    logarithmic: bool

    def height(self, value: float) -> float:
        """Return the y coordinate of a value; what lies outside is cut off by the drawing."""
        share = (self._at(value) - self._at(self.low)) / (self._at(self.high) - self._at(self.low))
        return _TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM)

    def _at(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.logarithmic else value

    def ticks(self) -> list[float]:
        """Return the values that are written at the axis."""
        if self.logarithmic:
            exponents = range(
                math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1
            )
            return [10.0**exponent for exponent in exponents]
        return nice(self.low, self.high, 5)


def _share_scale(lines: Sequence[Curve], level: float | None) -> Scale:
    """Return the scale of a chart of scores: the end of the training matters, not its start."""
    ends = [line.means[-1] for line in lines] + ([level] if level is not None else [])
    everything = [value for line in lines for value in line.lows] + ends
    spread = max(max(ends) - min(ends), 0.04)
    low = max(min(everything), min(ends) - 2.5 * spread)
    high = min(1.0, max([value for line in lines for value in line.highs] + ends) + spread / 8)
    low -= spread / 8
    if min(everything) >= 0:  # a share; what falls below 0 is none
        low = max(0.0, low)
    return Scale(low, max(high, 1.01 * low + 0.01), logarithmic=False)


def _loss_scale(lines: Sequence[Curve]) -> Scale:
    lows = [value for line in lines for value in line.lows]
    high = max(value for line in lines for value in line.highs)
    low = min(lows)
    if low > 0 and high / low > _LOG_FROM_RATIO:
        return Scale(low, high, logarithmic=True)
    return Scale(min(low, 0.0), high if high > min(low, 0.0) else low + 1.0, logarithmic=False)


def score_chart(lines: Sequence[Curve], called: str, teacher: float | None) -> Markup:
    """Return the chart of the validation score; `teacher` is a level line in its own colour."""
    return _chart(lines, _share_scale(lines, teacher), f"Validation {called}", teacher, share=True)


def loss_chart(lines: Sequence[Curve]) -> Markup:
    """Return the chart of the training loss, on a logarithmic scale where it falls far."""
    return _chart(lines, _loss_scale(lines), "Training loss", None, share=False)


def _chart(
    lines: Sequence[Curve], scale: Scale, title: str, level: float | None, *, share: bool
) -> Markup:
    last = max(line.xs[-1] for line in lines) or 1.0
    right = WIDTH - _RIGHT
    plot = right - _LEFT

    def across(step: float) -> float:
        return _LEFT + plot * step / last

    parts: list[str] = []
    for tick in scale.ticks():
        y = scale.height(tick)
        label = f"{100 * tick:.4g} %" if share else f"{tick:.4g}"
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="end" x="{_LEFT - 6}" y="{y + 4:.1f}">{label}</text>')
    for tick in nice(0.0, last, 4):
        x = across(tick)
        parts.append(f'<text class="mid" x="{x:.1f}" y="{HEIGHT - 18}">{tick:,.0f}</text>')
    parts.append(f'<text class="mid" x="{_LEFT + plot / 2}" y="{HEIGHT - 3}">step</text>')
    clip = "plot-score" if share else "plot-loss"
    parts.append(
        f'<clipPath id="{clip}"><rect x="{_LEFT}" y="{_TOP - 2}" width="{plot}"'
        f' height="{HEIGHT - _TOP - _BOTTOM + 4}"/></clipPath><g clip-path="url(#{clip})">'
    )
    if level is not None:
        y = scale.height(level)
        parts.append(
            f'<line class="level teacher" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}">'
            f"<title>Teacher: {100 * level:.1f} %</title></line>"
        )
    for line in lines:
        parts += _line(line, scale, across)
    parts.append("</g>")
    described = "; ".join(
        f"{line.name} ends at {100 * line.means[-1]:.1f} %"
        if share
        else f"{line.name} ends at {line.means[-1]:.3g}"
        for line in lines
    )
    attributes = (
        f'class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'data-steps="{last:g}" data-left="{_LEFT}" data-right="{right}"'
    )
    label = escape(f"{title}. {described}.")
    return Markup(f'<svg {attributes} aria-label="{label}">{"".join(parts)}</svg>')  # noqa: S704


def _line(line: Curve, scale: Scale, across: Callable[[float], float]) -> list[str]:
    role = line.role
    middle = [(across(x), scale.height(y)) for x, y in zip(line.xs, line.means, strict=True)]
    parts: list[str] = []
    if line.trainings > 1 and len(middle) > 1:
        upper = [(across(x), scale.height(y)) for x, y in zip(line.xs, line.highs, strict=True)]
        lower = [(across(x), scale.height(y)) for x, y in zip(line.xs, line.lows, strict=True)]
        parts.append(f'<polygon class="band {role}" points="{_path([*upper, *reversed(lower)])}"/>')
    if len(middle) == 1:
        x, y = middle[0]
        parts.append(f'<circle class="dot {role}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    else:
        values = ",".join(f"{value:.4g}" for value in line.means)
        name = escape(line.name)
        parts.append(
            f'<polyline class="line {role}" points="{_path(middle)}" data-name="{name}"'
            f' data-values="{values}"/>'
        )
    return parts


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
