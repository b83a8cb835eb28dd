"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def percent(fraction: float | None) -> str:
    """A fraction of 1 as percent with one decimal."""
    return "-" if fraction is None else f"{100 * fraction:.1f} %"


def points(difference: float | None) -> str:
    """A difference of two fractions as signed percentage points."""
    return "-" if difference is None else f"{100 * difference:+.1f}"


def whole(number: float | None) -> str:
    """A count with thousands separated."""
    return "-" if number is None else f"{number:,.0f}"


def size(size_bytes: float | None) -> str:
    """Bytes in a unit that fits."""
    if size_bytes is None:
        return "-"
    value, units = float(size_bytes), ["B", "kB", "MB", "GB"]
    while value >= 1000 and len(units) > 1:  # noqa: PLR2004 - a kilo
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def duration(seconds: float | None) -> str:
    """Seconds as `7.2 s`, `3:05` or `1:02:03`."""
    if seconds is None:
        return "-"
    if seconds < 10:  # noqa: PLR2004 - where tenths still matter
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    if hours:
        return f"{hours}:{minutes:02}:{left:02}"
    return f"{minutes}:{left:02}" if minutes else f"{left} s"


def age(moment: str | None) -> str:
    """How long ago an RFC 3339 time was, in its largest unit."""
    if not moment:
        return "-"
    then = datetime.fromisoformat(moment)
    seconds = max(0.0, (datetime.now(UTC) - then).total_seconds())
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < _DAY else f"{seconds / _DAY:.0f} d"


def number(value: float | None) -> str:
    """A measurement with four digits that matter."""
    return "-" if value is None else f"{value:.4g}"


def time_range(seconds: Mapping[str, float]) -> str:
    """Return how long something takes, as earlier jobs have."""
    low, middle, high = (duration(seconds[key]) for key in ("lowest", "median", "highest"))
    number = seconds["jobs"]
    earlier = "one earlier job" if number == 1 else f"{number:.0f} earlier jobs"
    return f"{middle}, {low} to {high} (as {earlier} took)"
