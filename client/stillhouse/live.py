"""Following a job in the terminal: bars where there is one, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from stillhouse.bodies import EventBody
from stillhouse.curves import CurvesView
from stillhouse.story import Stage, Story
from stillhouse.words import duration, number, whole

_LINE_PERCENT: Final = 10.0
_LINE_SECONDS: Final = 15.0
_SHOWN_METRICS: Final = 3


class Follower(Protocol):
    """Shows a story as it is told."""

    def follow(self, events: Iterable[EventBody]) -> None:
        """Show events until there are no more."""
        ...


def follower(console: Console, title: str, *, curves: bool = False) -> Follower:
    """Bars on a terminal, and `curves` below them if wanted; lines into a file or a CI log."""
    return Bars(console, title, curves=curves) if console.is_terminal else Lines(console)


class Lines:
    """One line for each thing worth saying, and a progress line now and then."""

    def __init__(self, console: Console) -> None:
        """Write to `console`."""
        self._console = console
        self._said_percent = 0.0
        self._said_at = time.monotonic()

    def follow(self, events: Iterable[EventBody]) -> None:
        """Print lines until the events end."""
        story = Story()
        for event in events:
            line = story.tell(event)
            if line is None and event["type"] == "progress" and self._due(story):
                line = self._progress(story)
            if line is not None:
                self._console.print(Text(line), soft_wrap=True)

    def _due(self, story: Story) -> bool:
        now = time.monotonic()
        return (
            story.percent >= self._said_percent + _LINE_PERCENT
            or now - self._said_at >= _LINE_SECONDS
        )

    def _progress(self, story: Story) -> str:
        self._said_percent, self._said_at = story.percent, time.monotonic()
        left = "" if story.eta_seconds is None else f", {duration(story.eta_seconds)} left"
        where = f": {story.current.title}, {_position(story.current)}" if story.current else ""
        return f"{story.percent:3.0f} %{left}{where}"


class Bars:
    """The whole run and its current stage as two bars; finished stages stay above as lines."""

    def __init__(self, console: Console, title: str, *, curves: bool = False) -> None:
        """Draw on `console`, a terminal."""
        self._console = console
        self._curves = CurvesView() if curves else None
        self._whole = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(40),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[said]}", markup=False),
            console=console,
        )
        self._stage = Progress(
            TextColumn(" "),
            TextColumn("{task.description}", markup=False),
            BarColumn(40),
            TextColumn("{task.fields[said]}", markup=False),
            console=console,
        )
        self._run = self._whole.add_task(title, total=100, said="waiting for a worker")
        self._now = self._stage.add_task("", total=None, visible=False, said="")

    def follow(self, events: Iterable[EventBody]) -> None:
        """Draw until the events end; the bars are gone afterwards."""
        story = Story()
        parts = Group(self._whole, self._stage, *([self._curves] if self._curves else []))
        with Live(parts, console=self._console, transient=True, refresh_per_second=8) as live:
            for event in events:
                line = story.tell(event)
                if line is not None:
                    live.console.print(Text(line, style="dim"))
                self._draw(story)

    def _draw(self, story: Story) -> None:
        if self._curves is not None:
            self._curves.look(story)
        left = story.eta_seconds
        said = story.status if left is None else f"{duration(left)} left"
        if story.status == "running" and story.phase != "training":
            said = story.phase or "starting"
        self._whole.update(self._run, completed=story.percent, said=said)
        stage = story.current
        if stage is None or stage.done:
            self._stage.update(self._now, visible=False)
            return
        self._stage.update(
            self._now,
            visible=True,
            description=stage.title,
            completed=stage.step,
            total=stage.total_steps or None,
            said=_position(stage),
        )


def _position(stage: Stage) -> str:
    words = [f"step {whole(stage.step)}/{whole(stage.total_steps)}"]
    if stage.epoch is not None:
        words.append(f"epoch {stage.epoch:.0f}")
    shown = [(name, value) for name, value in stage.metrics.items() if value is not None]
    words += [f"{name} {number(value)}" for name, value in shown[:_SHOWN_METRICS]]
    return "  ".join(words)
