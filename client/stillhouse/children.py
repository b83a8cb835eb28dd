"""The processes of `stillhouse up`: started on a leash, logged, started again, stopped in order."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_LOG_BYTES: Final = 10_000_000
_TAIL_LINES: Final = 15
_STEADY_SECONDS: Final = 60.0
_LONGEST_PAUSE_SECONDS: Final = 30.0


@dataclass
class Child:
    """One server process and what is known about it."""

    name: str
    command: list[str]
    """Module and arguments, as after `python -m`."""
    log: Path
    env: Mapping[str, str]
    grace_seconds: float
    """Between being asked to end and being ended."""
    process: subprocess.Popen[bytes] | None = None
    deaths: list[float] = field(default_factory=list[float])
    """Moments (monotonic) of unexpected ends, since it last ran steadily."""
    again_at: float = 0.0
    _began: float = 0.0

    def start(self) -> None:
        """Start it, in a session of its own: the terminal's Ctrl-C is for the parent alone."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        # -P: a file named jobs.py in the folder where `up` was started is not ours.
        leash = [sys.executable, "-P", "-m", "stillhouse.leash", f"{self.grace_seconds:g}"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                [*leash, *self.command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.env),
                start_new_session=True,
            )
        self._began = time.monotonic()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def mourn(self) -> str:
        """Note an unexpected end and when to start again; return what to tell about it."""
        now = time.monotonic()
        if now - self._began > _STEADY_SECONDS:
            self.deaths.clear()
        self.deaths.append(now)
        # At once after the first death; then ever later, or a broken set-up would keep a core busy.
        pause = min(2.0 ** len(self.deaths) - 2.0, _LONGEST_PAUSE_SECONDS)
        self.again_at = now + pause
        code = self.process.returncode if self.process else None
        self.let_go()
        return (
            f"{self.name} ended by itself ({_ended(code)}); the end of {self.log}:\n{self.tail()}"
        )

    @property
    def ended_in_order(self) -> bool:
        """Whether it has ended as one does that was told to."""
        return self.process is not None and self.process.poll() == 0

    def retire(self) -> None:
        """Let go of it, and never start it again."""
        self.let_go()
        self.again_at = math.inf

    def tail(self) -> str:
        """The last lines of its log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "  (no log)"
        return "\n".join(f"  {line}" for line in text.splitlines()[-_TAIL_LINES:]) or "  (empty)"

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self.process is not None and self.running:
            self.process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """Send SIGKILL."""
        if self.process is not None and self.running:
            self.process.kill()

    def let_go(self) -> None:
        """Reap it and close its leash."""
        if self.process is not None:
            if self.process.stdin is not None:
                self.process.stdin.close()
            self.process.wait()
            self.process = None


def stop(children: list[Child], killing: Killing) -> list[str]:
    """Stop the children together; return the names of those that had to be killed.

    They are asked, given the longest of their graces, then killed: at once if `killing` says so.
    """
    for child in children:
        child.ask_to_end()
    until = time.monotonic() + max((child.grace_seconds for child in children), default=0.0)
    while any(child.running for child in children):
        if killing.now or time.monotonic() > until:
            break
        time.sleep(0.05)
    late = [child.name for child in children if child.running]
    for child in children:
        child.end()
        child.let_go()
    return late


@dataclass
class Killing:
    """Whether patience is over: the second Ctrl-C."""

    now: bool = False


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def environment(data: Path) -> dict[str, str]:
    """What the children see: this process's own, with the data folder and unbuffered logs."""
    return {**os.environ, "STILLHOUSE_DATA": str(data), "PYTHONUNBUFFERED": "1"}
