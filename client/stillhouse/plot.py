"""Lines of dots: curves and levels in a few rows of braille characters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

_BLANK: Final = 0x2800
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of a braille character, by row and column of its dots."""
_DASH: Final = 4
"""Dots of a level's dash and of the gap behind it, together."""
_DECADE: Final = 10.0
_ROOM: Final = 0.05
"""Share of the height that stays free above and below."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is drawn: a curve, or a level all the way across."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]
    """Step and value, by rising steps; of a level one, whose step does not matter."""
    is_level: bool = False

    @property
    def last(self) -> float:
        """The newest value."""
        return self.points[-1][1]


class Scale:
    """From a value to a share of the height, 0 at the bottom."""

    def __init__(self, values: Iterable[float], *, logarithmic: bool) -> None:
        """Span the values; by powers of ten where that is wanted and they span more than one."""
        found = list(values)
        self.low, self.high = min(found), max(found)
        self.is_logarithmic = logarithmic and self.low > 0 and self.high > _DECADE * self.low
        below, above = self._at(self.low), self._at(self.high)
        room = _ROOM * (above - below) or abs(above) * _ROOM or 1.0
        self._below, self._above = below - room, above + room

    def share(self, value: float) -> float:
        """Where a value lies."""
        share = (self._at(value) - self._below) / (self._above - self._below)
        return share if math.isfinite(share) else 0.0  # they span more than a number can say

    def _at(self, value: float) -> float:
        return math.log10(value) if self.is_logarithmic else value


class Canvas:
    """A field of dots, two by four in each character."""

    def __init__(self, width: int, height: int) -> None:
        """Begin with none, on so many characters."""
        self._bits = [[0] * width for _ in range(height)]
        self._styles = [[""] * width for _ in range(height)]
        self.columns, self.rows = 2 * width, 4 * height

    def dot(self, column: int, row: int, style: str) -> None:
        """Set a dot, counted from the upper left; its character takes the style."""
        x, y = column // 2, row // 4
        self._bits[y][x] |= _DOTS[row % 4][column % 2]
        self._styles[y][x] = style

    def draw(self, line: Line, scale: Scale, last_step: float) -> None:
        """Draw a line over the steps from 0 to the last."""

        def height(value: float) -> float:
            return (1 - scale.share(value)) * (self.rows - 1)

        if line.is_level:
            row = round(height(line.last))
            for column in range(self.columns):
                if column % _DASH < _DASH // 2:
                    self.dot(column, row, line.style)
            return
        wide = (self.columns - 1) / max(last_step, 1.0)
        places = [(min(step, last_step) * wide, height(value)) for step, value in line.points]
        for (x, y), (to_x, to_y) in itertools.pairwise(places):
            # As many dots as the longer way needs: a steep line has no gaps.
            dots = max(1, math.ceil(max(to_x - x, abs(to_y - y))))
            for one in range(dots + 1):
                share = one / dots
                column, row = x + share * (to_x - x), y + share * (to_y - y)
                self.dot(round(column), round(row), line.style)

    def lines(self) -> list[Text]:
        """The characters, line by line."""
        drawn: list[Text] = []
        for bits, styles in zip(self._bits, self._styles, strict=True):
            text = Text(no_wrap=True)
            for dots, style in zip(bits, styles, strict=True):
                text.append(chr(_BLANK + dots), style)
            drawn.append(text)
        return drawn
