"""The processes of a run: this one leads, and starts the others when a network is to be trained.

Where a launcher has started them all (torchrun), they are taken as they are. Who follows keeps
nothing that matters: it is given network, data and answers for each training, and is ended when the
leader stops, fails or is gone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, cast

import torch
from torch import distributed

from kdcore.errors import CrewError, RecipeError
from kdcore.ranks import Ranks

READY: Final = b"ready\n"
_FOREVER: Final = timedelta(days=365)
"""Who follows waits while the leader measures, writes and asks. A process that is gone is noticed
by its closed connections, and a leader that says nothing by whoever runs it."""
_BACKENDS: Final = "cpu:gloo,cuda:nccl"
_GRACE_SECONDS: Final = 10.0
_TASK, _STATE = "task.pt", "state.pt"


@dataclass(frozen=True, slots=True)
class Task:
    """One training that all take part in."""

    parts: Mapping[str, Any]
    step: int
    state: dict[str, Any]
    """What the training had come to by then."""


def launched() -> Ranks | None:
    """Return this process's place where a launcher such as torchrun has started several."""
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and size.isdecimal()):
        return None
    return Ranks(int(rank), int(size))


def join(ranks: Ranks, device: torch.device, meeting: str) -> None:
    """Meet the other processes, and wait until all are there."""
    if device.type == "cuda":
        torch.cuda.set_device(ranks.rank)
    backend = _BACKENDS if device.type == "cuda" else "gloo"
    distributed.init_process_group(
        backend, init_method=meeting, rank=ranks.rank, world_size=ranks.size, timeout=_FOREVER
    )


def leave() -> None:
    """Part from the other processes."""
    distributed.destroy_process_group()


def next_task(ranks: Ranks) -> Task | None:
    """Wait for the leader to begin a training; None at the end of the run."""
    folder = _told(None)
    if folder is None:
        return None

    def own(storage: Any, location: str) -> Any:
        """Put what was on the leader's GPU on this process's."""
        return storage if location == "cpu" else storage.cuda(ranks.rank)

    # Written by the leader in this run's own folder: no file that anybody sent.
    task = torch.load(Path(folder) / _TASK, map_location=own, weights_only=False)
    step, state = torch.load(Path(folder) / _STATE, map_location="cpu", weights_only=True)
    return Task(task, step, state)


class Crew:
    """Leads the processes that share the steps of a run; of one, it is this process alone."""

    def __init__(self, processes: int, device: torch.device, threads: int, folder: Path) -> None:
        """Have `processes` of them, one GPU each, with `threads` CPU threads each.

        Raises:
            RecipeError: a launcher has started another number.
        """
        others = launched()
        if others and others.size != processes:
            raise RecipeError(
                f"runtime.processes is {processes}, and {others.size} processes were launched",
                hint="launch as many as the recipe asks for, or start it without a launcher",
            )
        self.ranks = Ranks(0, processes)
        self._launched = others is not None
        self._device = device
        self._threads = threads
        self._folder = folder.absolute()
        self._followers: list[subprocess.Popen[bytes]] = []
        self._met = False

    def __enter__(self) -> Self:
        """Start nothing yet: a run that only goes on to export needs nobody."""
        return self

    def lead(self, begin: Callable[[], Task]) -> None:
        """Have everybody begin a training, from the state that this process has.

        Raises:
            CrewError: a process could not be started.
        """
        if self.ranks.size == 1:
            return
        self._meet()
        task = begin()
        with (self._folder / _TASK).open("wb") as file:
            torch.save(dict(task.parts), file)
        with (self._folder / _STATE).open("wb") as file:
            torch.save((task.step, task.state), file)
        _told(str(self._folder))

    def _meet(self) -> None:
        if self._met:
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        meeting = "env://" if self._launched else f"file://{self._folder / 'meeting'}"
        if not self._launched:
            self._followers = [self._start(rank, meeting) for rank in range(1, self.ranks.size)]
            for rank, follower in enumerate(self._followers, start=1):
                if cast("IO[bytes]", follower.stdout).readline() != READY:
                    raise self._lost(rank, follower)
        join(self.ranks, self._device, meeting)
        self._met = True

    def _start(self, rank: int, meeting: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "kdcore.follow"]
        command += ["--rank", str(rank), "--size", str(self.ranks.size), "--meeting", meeting]
        command += ["--device", self._device.type, "--threads", str(self._threads)]
        # It ends when its stdin does, so with this process, however that ends.
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  # ours

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let everybody go; at once, where a training was left in the middle.

        Raises:
            CrewError: it was left since a process is gone.
        """
        lost = None
        if isinstance(error, RuntimeError):
            lost = self._whoever_is_gone()
        if kind is None and (self._met or self._launched):
            self._meet()  # whoever was launched is waiting for it
            _told(None)
        for follower in self._followers:
            if kind is not None:
                follower.kill()
            self._end(follower)
        if self._met:
            leave()
            self._met = False
        self._followers = []
        shutil.rmtree(self._folder, ignore_errors=True)
        if lost is not None:
            raise lost from error

    def _end(self, follower: subprocess.Popen[bytes]) -> None:
        try:
            follower.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            follower.kill()
            follower.wait()
        for pipe in (follower.stdin, follower.stdout):
            cast("IO[bytes]", pipe).close()

    def _whoever_is_gone(self) -> CrewError | None:
        """Return an error that names a process which has ended; its end may be a moment away."""
        deadline = time.monotonic() + 1.0
        while self._followers:
            for rank, follower in enumerate(self._followers, start=1):
                if follower.poll() is not None:
                    return self._lost(rank, follower)
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return None

    def _lost(self, rank: int, follower: subprocess.Popen[bytes]) -> CrewError:
        return CrewError(
            f"process {rank + 1} of {self.ranks.size} ended with exit code {follower.wait()}"
        )


def _told(message: str | None) -> str | None:
    """Have everybody hear what the leader says; the leader says `message`."""
    said: list[str | None] = [message]
    distributed.broadcast_object_list(said, src=0, device=torch.device("cpu"))  # pyright: ignore[reportUnknownMemberType]  # torch leaves it half typed
    return said[0]
