"""The timeline of a job as SVG: a row for each attempt, bars for what it was at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from markupsafe import Markup, escape

from api.pages import words
from api.pages.spans import KINDS, Span, spans
from api.schemas import Attempt, Event, Job

_WIDTH: Final = 900
_LEFT: Final = 104
_RIGHT: Final = 14
_PLOT: Final = _WIDTH - _LEFT - _RIGHT
_ROW: Final = 26
_BAR: Final = 18
_BOTTOM: Final = 24
_MOST_ROWS: Final = 12
"""Older attempts share the first row."""
_NARROWEST: Final = 4.0
"""Bars that would be narrower are drawn as one, so that there are never more than some hundreds."""
_TICKS: Final = 6
_TICK_SECONDS: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 14_400, 21_600, 43_200, 86_400),
)
_PARTS: Final = 200
"""Of its length; a running job's picture changes when another one is over, not at each look."""
_TERMINAL_LEAST: Final = 1.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """The picture, and what its colours mean."""

    svg: Markup
    legend: list[tuple[str, str]]
    """Kinds that occur, with their words."""


def timeline(job: Job, events: Sequence[Event], attempts: Sequence[Attempt]) -> Timeline | None:
    """Draw what a job was at up to now, or to its end; None before anything has happened."""
    until, length = _reach(job, datetime.now(UTC))
    by_attempt = spans(events, attempts, until)
    if not by_attempt:
        return None
    rows = list(_rows(by_attempt, attempts))
    height = _ROW * len(rows) + _BOTTOM
    parts = [*_axis(length, height)]
    for place, (label, row) in enumerate(rows):
        y = _ROW * place + (_ROW - _BAR) / 2
        parts.append(f'<text x="0" y="{y + 13:.0f}">{escape(label)}</text>')
        parts += _bars(row, y, job.created_at, length)
    found = [one for row in by_attempt.values() for one in row]
    spent = {kind: _together(found, kind) for kind in KINDS}
    legend = [(kind, KINDS[kind]) for kind, seconds in spent.items() if seconds]
    said = "; ".join(f"{text} {_took(spent[kind])}" for kind, text in legend)
    how_many = f"{len(attempts)} attempt{'' if len(attempts) == 1 else 's'}"
    over = words.duration((until - job.created_at).total_seconds())
    told = escape(f"{how_many} over {over}. {said}.")
    drawn = (
        f'<svg class="timeline" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{told}">'
        f"{''.join(parts)}</svg>"
    )
    return Timeline(Markup(drawn), legend)  # noqa: S704  # numbers, and words that were escaped


def _reach(job: Job, now: datetime) -> tuple[datetime, float]:
    """Return up to when it is drawn, and how many seconds the axis has."""
    if job.terminal and job.finished_at is not None:
        seconds = (job.finished_at - job.created_at).total_seconds()
        return job.finished_at, max(seconds, _TERMINAL_LEAST)
    seconds = max((now - job.created_at).total_seconds(), 1.0)
    length = 10.0
    while length < seconds:
        length *= 1.25
    part = length / _PARTS
    return job.created_at + timedelta(seconds=seconds // part * part), length


def _rows(
    by_attempt: Mapping[int, list[Span]], attempts: Sequence[Attempt]
) -> Iterator[tuple[str, list[Span]]]:
    """Yield labels and spans, the first attempt first."""
    known = {one.number: one for one in attempts}
    numbers = sorted(by_attempt)
    older = numbers[: -(_MOST_ROWS - 1)] if len(numbers) > _MOST_ROWS else []
    if older:
        row = [one for number in older for one in by_attempt[number]]
        yield f"{older[0]} to {older[-1]}", row
    for number in numbers[len(older) :]:
        attempt = known.get(number)
        yield f"{number}: {attempt.status}" if attempt else "next", by_attempt[number]


def _axis(length: float, height: int) -> Iterator[str]:
    step = next(
        (one for one in _TICK_SECONDS if length / one <= _TICKS),
        86_400 * max(1, round(length / 86_400 / _TICKS)),
    )
    for tick in range(0, int(length) + 1, step):
        x = _LEFT + _PLOT * tick / length
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height - _BOTTOM}"/>'
        if x <= _WIDTH - 3 * _RIGHT:
            text = words.duration(tick)
            yield f'<text class="mid" x="{x:.1f}" y="{height - 6}">{text}</text>'


def _bars(row: Sequence[Span], y: float, origin: datetime, length: float) -> Iterator[str]:
    for group in _groups(row, _NARROWEST * length / _PLOT):
        longest = max(group, key=lambda one: one.length)
        start = (group[0].start - origin).total_seconds()
        took = (group[-1].end - group[0].start).total_seconds()
        text = longest.text if len(group) == 1 else f"{longest.text}, and {len(group) - 1} shorter"
        said = f"{text}: {_took(took)}, from {words.moment(group[0].start)}"
        yield (
            f'<rect class="bar {longest.kind}" x="{_LEFT + _PLOT * start / length:.1f}" y="{y:.0f}"'
            f' width="{max(_PLOT * took / length, 1):.1f}" height="{_BAR}">'
            f"<title>{escape(said)}</title></rect>"
        )


def _groups(row: Sequence[Span], least: float) -> Iterator[list[Span]]:
    """Yield spans that are drawn as one: together they are not too short to be seen."""
    group: list[Span] = []
    for one in row:
        if group and (_is_apart(group[-1], one) or _seconds(group) >= least):
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def _is_apart(before: Span, after: Span) -> bool:
    return after.start > before.end


def _seconds(group: Sequence[Span]) -> float:
    return (group[-1].end - group[0].start).total_seconds()


def _took(seconds: float) -> str:
    return words.duration(seconds) if seconds >= 1 else "under 1 s"


def _together(found: Sequence[Span], kind: str) -> float:
    return sum(one.length.total_seconds() for one in found if one.kind == kind)
