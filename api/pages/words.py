"""Numbers and times as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import yaml
from markupsafe import Markup, escape

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400
_KILO: Final = 1000
NOTHING: Final = "\N{EN DASH}"


def duration(seconds: float | None) -> str:
    """Return seconds in one or two units: `4 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None:
        return NOTHING
    left = max(round(seconds), 0)
    if left < _MINUTE:
        return f"{left} s"
    for size, name, smaller, small in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if left >= size:
            whole, rest = divmod(left, size)
            return (
                f"{whole} {name} {rest // smaller} {small}"
                if rest // smaller
                else f"{whole} {name}"
            )
    return NOTHING


def age(moment: datetime | None) -> str:
    """Return how long ago a moment was, in one unit."""
    if moment is None:
        return NOTHING
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    return f"{duration(seconds).split(' ')[0]} {duration(seconds).split(' ')[1]} ago"


def moment(value: datetime | None) -> str:
    """Return a moment to the second, in UTC."""
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if value else NOTHING


def clock(value: datetime) -> str:
    """Return the time of day, in UTC."""
    return value.astimezone(UTC).strftime("%H:%M:%S")


def between(start: datetime | None, end: datetime | None) -> str:
    """Return how long something took, or has taken so far."""
    if start is None:
        return NOTHING
    return duration(((end or datetime.now(UTC)) - start).total_seconds())


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share as a percentage."""
    return NOTHING if share is None else f"{100 * share:.{digits}f} %"


def points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")


def count(number: float | None) -> str:
    """Return a number in three figures and a unit: `2.41 k`, `58.3 k`, `25.6 M`."""
    if number is None:
        return NOTHING
    value = float(number)
    for unit in ("", " k", " M", " G", " T"):
        if abs(value) < _KILO or unit == " T":
            return f"{value:.3g}{unit}"
        value /= _KILO
    return NOTHING


def size(size_bytes: float | None) -> str:
    """Return bytes in three figures and a decimal unit."""
    if size_bytes is None:
        return NOTHING
    return f"{size_bytes:.0f} B" if size_bytes < _KILO else f"{count(size_bytes)}B"


def number(value: float | None) -> str:
    """Return a number in four figures."""
    return NOTHING if value is None else f"{value:.4g}"


def prose(text: str) -> Markup:
    """Return text with code between backticks as code, and arXiv's ids as links."""
    parts = re.split(r"`([^`]*)`", text)
    marked = (
        Markup("<code>{}</code>").format(part) if place % 2 else _with_papers(part)
        for place, part in enumerate(parts)
    )
    return Markup("").join(marked)


def _with_papers(text: str) -> Markup:
    link = r'<a href="https://arxiv.org/abs/\1" rel="noreferrer">\g<0></a>'
    return Markup(re.sub(r"arXiv:(\d{4}\.\d{4,5})", link, str(escape(text))))  # noqa: S704  # escaped


def in_yaml(document: object) -> str:
    """Return a document in YAML, small parts on one line."""
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None, allow_unicode=True)


FILTERS: Final[dict[str, Any]] = {
    function.__name__: function
    for function in (
        *(age, between, clock, count, duration, moment),
        *(number, percent, points, prose, size),
    )
} | {"yaml": in_yaml}
"""What templates may use, by name."""
