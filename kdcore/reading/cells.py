"""What a cell of a table may hold: text, a number, or nothing."""

from __future__ import annotations

import math
from typing import Final

Cell = str | float | None

_WHOLE: Final = 2.0**53
_MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none"})


class BadRowError(ValueError):
    """A row is not as it should be."""

    def __init__(self, reason: str, hint: str | None = None) -> None:
        """Keep what was found, and the way out."""
        super().__init__(reason)
        self.reason, self.hint = reason, hint


def text_cell(text: str) -> Cell:
    """Return what a cell says; columns decide later whether their texts are numbers."""
    text = text.strip()
    return None if text.lower() in _MISSING else text


def plain(value: object, name: str) -> Cell:
    """Return a cell that is text, a number or nothing; truth is 0 or 1."""
    if value is None or isinstance(value, str):
        return None if value is None else text_cell(value)
    if isinstance(value, bool | int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        return None if math.isnan(number) else number
    if hasattr(value, "as_tuple"):
        return float(str(value))  # a decimal of Parquet
    raise BadRowError(
        f"{name!r} holds {type(value).__name__}; expected text, a number or nothing",
        "leave the column out, or write it as text or numbers",
    )


def as_number(cell: Cell) -> float | None:
    """Return a cell's number, or None where it holds none."""
    if isinstance(cell, int | float):
        return float(cell)
    try:
        # Python also reads "1_000", which no table means.
        return None if cell is None or "_" in str(cell) else float(cell)
    except ValueError:
        return None


def as_label(cell: str | float) -> str:
    """Return a cell as a class is called: 3.0 is 3."""
    whole = isinstance(cell, float) and abs(cell) < _WHOLE and cell.is_integer()
    return str(int(cell)) if whole else str(cell)
