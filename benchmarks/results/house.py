"""Running the methods: each in a process of its own, a few at a time, none of them twice.

The reference goes first. Its teacher and its controls are trained once: all others find them among
the finished stages of their own working folders, as if an earlier start had made them.
"""

from __future__ import annotations

import contextlib
import fcntl
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Final

from pydantic import ValidationError

from benchmarks.results.asked import Task
from benchmarks.results.board import Board
from benchmarks.results.kept import Failure, Result, recall
from kdcore.errors import KdcoreError
from kdcore.events import EVENT, RunStarted, StageFinished, StageStarted, VerdictReached
from kdcore.files import write_file
from kdcore.path import TEACHER

_PATIENCE: Final = 60.0
_INVALID: Final = 2
_INTERRUPTED: Final = 130
_CODES: Final = frozenset(kind.code for kind in KdcoreError.__subclasses__())


class BusyError(Exception):
    """Another start of this command works in the folder."""


@contextlib.contextmanager
def claimed(work: Path) -> Generator[IO[str]]:
    """Keep everybody else out of a folder; the processes that hold the file keep them out as well.

    Raises:
        BusyError: somebody is in there, and does not leave within a minute.
    """
    work.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _PATIENCE
    with (work / "lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BusyError(f"another start of this command works in {work}") from None
                time.sleep(0.2)
        yield file


@dataclass(slots=True)
class House:
    """Where the methods are run."""

    work: Path
    inputs: Path
    jobs: int
    source: str
    """sha256 of the engine's files."""
    lock: IO[str]
    board: Board
    _guard: Lock = field(default_factory=Lock)
    _running: set[subprocess.Popen[str]] = field(default_factory=set[subprocess.Popen[str]])
    _stopping: bool = False

    def run(self, tasks: Sequence[Task]) -> list[Result]:
        """Return a result for each task, in their order; the first one is the reference.

        Without the reference's numbers there is nothing to compare with, so the others are not
        begun where it fails. Interrupting it stops the processes, which save what they have.
        """
        reference, *others = tasks
        self.board.plan([task.method for task in tasks if not self._over(task)])
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                results = [pool.submit(self._finish, reference, reference).result()]
                if results[0].finished:
                    waiting: list[Future[Result]] = [
                        pool.submit(self._finish, task, reference) for task in others
                    ]
                    results += [one.result() for one in waiting]
            except BaseException:
                self._stop()
                pool.shutdown(cancel_futures=True)
                raise
        return results

    def _over(self, task: Task) -> bool:
        if task.recipe is None:
            return True
        return recall(task.method, task.folder(self.work)).is_over(self.source)

    def _finish(self, task: Task, reference: Task) -> Result:
        if task.recipe is None:
            refused = Failure(code="recipe_invalid", words=task.refusal)
            result = Result(method=task.method, failure=refused)
            self.board.end(result)
            return result
        folder = task.folder(self.work)
        result = recall(task.method, folder)
        if result.is_over(self.source):
            return result
        if task is not reference and task.shares_with(reference):
            own_teacher = task.recipe.path.anchors() > 0  # it is watched while it learns
            _share(reference.folder(self.work), folder, teacher=not own_teacher)
        self.board.begin(task.method)
        failure = self._attempt(task, folder, result)
        result.ended(failure)
        result.keep(folder)
        self.board.end(result)
        return result

    def _attempt(self, task: Task, folder: Path, result: Result) -> Failure | None:
        """Run the engine; keep what it tells as it tells it."""
        process = self._start(task, folder)
        if process is None:
            return Failure(code="stopped", words="it was interrupted")
        begun: StageStarted | None = None
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        with process.stdout:
            for line in process.stdout:
                try:
                    event = EVENT.validate_json(line)
                except ValidationError:
                    continue  # the torn last words of a process that was killed
                self.board.tell(task.method, event)
                match event:
                    case RunStarted():
                        result.started(event, self.jobs, self.source)
                    case StageStarted():
                        begun = event
                    case StageFinished():
                        result.trained(event, begun)
                        begun = None
                        result.keep(folder)
                    case VerdictReached():
                        result.decided(event)
                    case _:
                        pass
        code = process.wait()
        with self._guard:
            self._running.discard(process)
        return self._failure(code, _errors(folder)) if code else None

    def _start(self, task: Task, folder: Path) -> subprocess.Popen[str] | None:
        recipe = folder / "recipe.json"
        write_file(recipe, task.as_json())
        command = [sys.executable, "-m", "kdcore", recipe, _run(folder), "--inputs", self.inputs]
        command += ["--cache", self.work / "teacher-caches"]
        with self._guard, _errors(folder).open("wb") as errors:
            if self._stopping:
                return None
            process = subprocess.Popen(  # noqa: S603  # our own engine
                [*map(str, command), "--json"],
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                text=True,
                # Whoever outlives this process for a moment still works in the folder.
                pass_fds=(self.lock.fileno(),),
            )
            self._running.add(process)
            return process

    def _stop(self) -> None:
        with self._guard:
            self._stopping = True
            for process in self._running:
                process.send_signal(signal.SIGTERM)

    def _failure(self, code: int, errors: Path) -> Failure:
        if self._stopping or code == _INTERRUPTED:
            return Failure(code="stopped", words="it was interrupted")
        lines = errors.read_text(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "nothing was said")
        word, _, words = said.partition(": ")
        if code == _INVALID:
            return Failure(code="recipe_invalid", words=said)
        if word in _CODES:
            return Failure(code=word, words=words)
        return Failure(code="crashed", words=f"the process ended with {code}: {said}")


def _run(folder: Path) -> Path:
    """Return the engine's own folder."""
    return folder / "run"


def _errors(folder: Path) -> Path:
    return folder / "stderr.txt"


def _share(source: Path, target: Path, *, teacher: bool) -> None:
    """Give a run the finished teacher and controls of another."""
    stages = _run(target) / "stages"
    for record in sorted((_run(source) / "stages").glob("*.json")):
        control = record.stem.startswith(("baseline-", "hard_labels-"))
        if (stages / record.name).exists() or not (control or (teacher and record.stem == TEACHER)):
            continue
        weights = record.with_suffix(".safetensors")
        write_file(stages / weights.name, weights.read_bytes())
        write_file(stages / record.name, record.read_bytes())  # last: it says that it is finished
