"""The processes of the house under chaos: each is started again whenever it has died."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

SIGNS = {"api": "startup complete", "worker": "the nursery is ready", "sweeper": ""}
"""What the log of a process says once it does its work."""
ROOT = Path(__file__).resolve().parents[2]
FAREWELL_SECONDS = 15.0


class Resident:
    """One process, and whoever descends from it."""

    def __init__(
        self, name: str, words: list[str], clock: Path, environ: Mapping[str, str]
    ) -> None:
        """Get ready to be started; the log goes beside the clock."""
        self.name = name
        self.clock = clock
        self._words = words
        self._environ = environ
        self._log = clock.with_name(f"{name}.log")
        self._process: subprocess.Popen[bytes] | None = None
        self._due = 0.0
        self._begins = 0

    @property
    def process(self) -> psutil.Process | None:
        """The process, while it lives."""
        if self._process is None or self._process.poll() is not None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid)
        return None

    def keep(self) -> None:
        """Start it where it is not there and its time has come."""
        if self.process is None and time.monotonic() >= self._due:
            with self._log.open("ab") as log:
                self._begins = log.tell()
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "chaos.clock", str(self.clock), *self._words],
                    env=dict(self._environ),
                    cwd=self.clock.parent,
                    stdout=log,
                    stderr=log,
                )

    def is_up(self) -> bool:
        """Tell whether it lives and does its work already."""
        if self.process is None:
            return False
        with self._log.open("rb") as log:
            log.seek(self._begins)
            return SIGNS[self.name.partition("-")[0]].encode() in log.read()

    def bury(self) -> None:
        """Wait for the end of one that was killed."""
        if self._process is not None:
            self._process.wait()

    def end(self, signum: signal.Signals, away_seconds: float) -> list[psutil.Process]:
        """Send a signal that ends it, to be away for a while; return who must go with it."""
        process = self.process
        if process is None:
            return []
        family = [process, *children_of(process)]
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signum)
            process.send_signal(signal.SIGCONT)  # a frozen one hears no SIGTERM
        self._due = time.monotonic() + away_seconds
        return family


class Residents:
    """API, workers and a sweeper alone."""

    def __init__(self, folder: Path, environ: Mapping[str, Mapping[str, str]]) -> None:
        """Make them out of their environments, by name; `api` listens on a port of its own."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.folder = folder
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith("STILLHOUSE_")
        }
        paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
        words = {"api": ["api", "--port", str(self.port)], "sweeper": ["worker", "sweeper"]}
        self.all: dict[str, Resident] = {}
        for name, own in environ.items():
            clock = folder / f"{name}.clock"
            clock.write_text("0")
            given = {**kept, **own, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
            self.all[name] = Resident(name, words.get(name, ["worker"]), clock, given)

    def keep(self) -> None:
        """Start whoever is missing."""
        for resident in self.all.values():
            resident.keep()

    def workers(self) -> list[Resident]:
        """Return the workers that live."""
        return [one for name, one in self.all.items() if name.startswith("worker") and one.process]

    def trainers(self, work: Path) -> list[psutil.Process]:
        """Return whoever works in an attempt's folder, orphans as well, the oldest first."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.cwd().startswith(str(work)) and alive(process):
                    found.append(process)
        return sorted(found, key=lambda process: process.pid)

    def close(self) -> list[str]:
        """Kill everybody; return who outlived that."""
        families = [one.end(signal.SIGKILL, 1e9) for one in self.all.values()]
        for resident in self.all.values():
            resident.bury()
        return left([process for family in families for process in family], FAREWELL_SECONDS)


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """Return all descendants of a process that may be dying."""
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def alive(process: psutil.Process) -> bool:
    """Tell whether a process runs, or could."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def left(processes: list[psutil.Process], seconds: float) -> list[str]:
    """Wait for processes to be gone; tell those that are not."""
    deadline = time.monotonic() + seconds
    while (there := list(filter(alive, processes))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [f"{process.pid} {' '.join(_words(process))}" for process in there]


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []
