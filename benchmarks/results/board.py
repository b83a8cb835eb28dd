"""How far it is: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Lock
from typing import Final, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from benchmarks.results.kept import Result
from kdcore.events import Event, StageProgress

_LINE_SECONDS: Final = 30.0
_PACE_SECONDS: Final = 600.0


class Board:
    """A bar for all methods, one for each that runs, and a line for each that has ended."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        self._console = console
        self._guard = Lock()
        self._percent: dict[str, float] = {}
        self._said_at = time.monotonic()
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(40),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            speed_estimate_period=_PACE_SECONDS,
        )
        self._whole = self._progress.add_task("all methods", total=None, said="")

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bars away."""
        self._progress.stop()

    def plan(self, methods: Sequence[str]) -> None:
        """Say what is to be done."""
        self._percent = dict.fromkeys(methods, 0.0)
        total = 100.0 * len(methods)
        self._progress.update(self._whole, total=total, completed=0 if total else None)

    def begin(self, method: str) -> None:
        """Show that a method runs."""
        with self._guard:
            self._tasks[method] = self._progress.add_task(f"  {method}", total=100, said="starting")

    def tell(self, method: str, event: Event) -> None:
        """Show how far a method is."""
        if not isinstance(event, StageProgress):
            return
        with self._guard:
            said = f"{event.stage}, step {event.step:,} of {event.total_steps:,}"
            self._progress.update(self._tasks[method], completed=event.percent, said=said)
            self._at(method, event.percent)
            now = time.monotonic()
            if not self._console.is_terminal and now - self._said_at >= _LINE_SECONDS:
                self._said_at = now
                percent = sum(self._percent.values()) / max(len(self._percent), 1)
                self.say(f"{percent:3.0f} % of all; {method} is at {event.percent:.0f} %: {said}")

    def end(self, result: Result) -> None:
        """Show what came out."""
        with self._guard:
            if task := self._tasks.pop(result.method, None):
                self._progress.remove_task(task)
            if result.failure and result.failure.code == "stopped":
                return
            if result.method in self._percent:
                self._at(result.method, 100.0)
            if result.verdict is None or result.failure:
                self.say(f"{result.method}: {result.failure.words if result.failure else 'failed'}")
            else:
                student = result.verdict.student.score
                values = ", ".join(f"{100 * value:.1f}" for value in student.values)
                self.say(f"{result.method}: {100 * student.mean:.2f} % ({values})")

    def say(self, line: str) -> None:
        """Write a line that stays."""
        self._console.print(Text(line), soft_wrap=True)

    def _at(self, method: str, percent: float) -> None:
        self._percent[method] = percent
        self._progress.update(self._whole, completed=sum(self._percent.values()))
