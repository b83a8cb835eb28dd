"""What a watch draws below its bars: the current training's curve, and what it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from stillhouse.plot import Canvas, Line, Scale
from stillhouse.story import Stage, Story
from stillhouse.words import number, percent, whole

_HEIGHT: Final = 6
_WIDEST: Final = 90
_NARROWEST: Final = 40
_LOWEST: Final = 18
"""Lines of a terminal that has room for it."""
_FEWEST: Final = 2
"""Points of a curve."""
_FAR: Final = 10.0
"""Scores are shares of 1, or nearly."""
_STYLES: Final = {"teacher": "yellow", "baseline": "magenta", "student": "cyan"}
_OTHER: Final = "cyan"


@dataclass(frozen=True, slots=True)
class Shown:
    """What is drawn, as it was at one moment."""

    title: str
    lines: Sequence[Line]
    """What lies in front comes last."""
    last_step: int
    is_loss: bool


class CurvesView:
    """The curve of the training that runs, as rich draws it: nothing while there is none."""

    def __init__(self) -> None:
        """Draw nothing yet."""
        self._shown: Shown | None = None

    def look(self, story: Story) -> None:
        """Draw what a story has told, from now on.

        A live display draws in a thread of its own, so what it draws must not change meanwhile.
        """
        self._shown = None if story.current is None else _shown(story, story.current)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines of the plot; none where they have no room."""
        width = min(options.max_width, _WIDEST)
        too_small = width < _NARROWEST or console.height < _LOWEST
        if self._shown is not None and not (too_small or options.ascii_only):
            yield from _plot(self._shown, width)


def _shown(story: Story, stage: Stage) -> Shown | None:
    if len(stage.validated) >= _FEWEST:
        title = f"validation {(stage.metric or 'score').replace('_', ' ')}"
        lines = [*_levels(story, stage), _curve(stage, stage.validated)]
        return Shown(title, lines, stage.total_steps, is_loss=False)
    if len(stage.losses) >= _FEWEST:
        return Shown("loss", [_curve(stage, stage.losses)], stage.total_steps, is_loss=True)
    return None


def _curve(stage: Stage, points: dict[int, float]) -> Line:
    style = _STYLES.get(stage.role, _OTHER)
    return Line(stage.title, style, [(float(step), points[step]) for step in sorted(points)])


def _levels(story: Story, stage: Stage) -> Iterator[Line]:
    """Yield what the others have reached: a network of the same seed, else the mean of all."""
    for role, style in _STYLES.items():
        others = [one for one in story.stages.values() if one.role == role and one.done]
        alike = [one for one in others if one.seed == stage.seed] or others
        reached = [one.reached for one in alike if one.reached is not None]
        if role != stage.role and reached:
            yield Line(role, style, [(0.0, statistics.fmean(reached))], is_level=True)


def _plot(shown: Shown, width: int) -> Iterator[Text]:
    show = number if shown.is_loss else _score
    values = [value for line in shown.lines for _, value in line.points]
    scale = Scale(values, logarithmic=shown.is_loss)
    marks = [show(scale.high), *[""] * (_HEIGHT - 2), show(scale.low)]
    margin = max(map(len, marks)) + 1
    canvas = Canvas(width - margin, _HEIGHT)
    last_step = max(shown.last_step, *(int(line.points[-1][0]) for line in shown.lines), 1)
    for line in shown.lines:
        canvas.draw(line, scale, last_step)
    title = f"{shown.title}, by powers of ten" if scale.is_logarithmic else shown.title
    yield from _legend(shown, title, width)
    for mark, drawn in zip(marks, canvas.lines(), strict=True):
        yield Text.assemble((f"{mark.rjust(margin - 1)}┤", "dim"), drawn, no_wrap=True)
    end = f"step {whole(last_step)}".rjust(width - margin - 1)
    yield Text(f"{' ' * margin}0{end}", style="dim", no_wrap=True)


def _legend(shown: Shown, title: str, width: int) -> Iterator[Text]:
    """Yield what is what, the newest line first, on as many lines as it takes."""
    show = number if shown.is_loss else _score
    text = Text.assemble((title, "dim"), no_wrap=True, overflow="ellipsis")
    for line in reversed(shown.lines):
        words = f"  {'╌' if line.is_level else '─'} {line.name} {show(line.last)}"
        if text.cell_len + len(words) > width:
            yield text
            text = Text(no_wrap=True, overflow="ellipsis")
        text.append(words, line.style)
    yield text


def _score(value: float) -> str:
    """A score in percent; one that is far from any, as R² can be, as a number."""
    return percent(value) if abs(value) < _FAR else number(value)
