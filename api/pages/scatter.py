"""Dots on two scales as SVG, each a link: what is gained against what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from api.pages.scales import WIDE_RATIO, nice
from api.pages.words import count

WIDTH: Final = 760
HEIGHT: Final = 340
_LEFT: Final = 64
_RIGHT: Final = 16
_TOP: Final = 14
_BOTTOM: Final = 46
_ROOM: Final = 0.06


@dataclass(frozen=True, slots=True)
class Dot:
    """One point."""

    x: float
    y: float
    kind: str
    """`best`, `other`, or a role; a class of the style sheet."""
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, values: Sequence[float], *, may_be_log: bool) -> _Axis:
        low, high = min(values), max(values)
        if may_be_log and low > 0 and high / low >= WIDE_RATIO:
            spread = (high / low) ** _ROOM
            return cls(low / spread, high * spread, is_log=True)
        room = max(high - low, abs(high) * 1e-3, 1e-9) * _ROOM
        return cls(low - room, high + room, is_log=False)

    def share(self, value: float) -> float:
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        if not self.is_log:
            return nice(self.low, self.high, 5)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        steps = (m * 10.0**exponent for exponent in range(first, last + 1) for m in (1, 2, 5))
        return [tick for tick in steps if self.low <= tick <= self.high]


def draw(dots: Sequence[Dot], *, x: str, y: str) -> Markup | None:
    """Draw dots with the names of both axes; None for fewer than two dots.

    The x axis is logarithmic where it spans more than a decade or so.
    """
    if len(dots) < 2:  # noqa: PLR2004  # one dot shows nothing
        return None
    across = _Axis.of([dot.x for dot in dots], may_be_log=True)
    up = _Axis.of([dot.y for dot in dots], may_be_log=False)
    wide, high = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    parts: list[str] = []
    for tick in up.ticks():
        place = _TOP + (1 - up.share(tick)) * high
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{place:.1f}"'
            f' y2="{place:.1f}"/><text class="end" x="{_LEFT - 8}" y="{place + 4:.1f}">'
            f"{tick:.4g}</text>"
        )
    for tick in across.ticks():
        place = _LEFT + across.share(tick) * wide
        parts.append(f'<text class="mid" x="{place:.1f}" y="{HEIGHT - 26}">{count(tick)}</text>')
    scale = ", log scale" if across.is_log else ""
    parts.append(
        f'<text class="mid" x="{_LEFT + wide / 2:.0f}" y="{HEIGHT - 6}">{escape(x)}{scale}</text>'
        f'<text class="start" x="2" y="{_TOP - 2}">{escape(y)}</text>'
    )
    for dot in sorted(dots, key=lambda one: one.kind == "best"):
        left, top = _LEFT + across.share(dot.x) * wide, _TOP + (1 - up.share(dot.y)) * high
        told = escape(f"{dot.title}: {y} {dot.y:.4g}, {x} {dot.x:,.4g}")
        parts.append(
            f'<a href="{escape(dot.href)}" aria-label="{told}"><circle class="mark-{dot.kind}"'
            f' cx="{left:.1f}" cy="{top:.1f}" r="6"><title>{told}</title></circle></a>'
        )
    label = escape(f"{y} against {x}, {len(dots)} points.")
    return Markup(  # noqa: S704  # what is not ours in it was escaped
        f'<svg class="chart scatter" viewBox="0 0 {WIDTH} {HEIGHT}" role="group"'
        f' aria-label="{label}">{"".join(parts)}</svg>'
    )
