"""The processes of a run: this one leads, and starts the others when a network is to be trained.

Where a launcher has started them all (torchrun), they are taken as they are. Who follows keeps
nothing that matters: it is given network, data and answers for each training, and is ended when the
leader stops, fails or is gone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self, cast

import torch
from torch import distributed
from torch._C._distributed_c10d import FileStore  # pyright: ignore[reportPrivateImportUsage]  # torch.distributed.FileStore, where its types are
from torch.distributed import distributed_c10d

from kdcore.errors import CrewError, RecipeError
from kdcore.files import disk_full_is_named
from kdcore.ranks import Ranks, between_processes

READY: Final = b"ready\n"
_TO_MEET: Final = timedelta(seconds=120)
_FOREVER: Final = timedelta(days=365)
"""Who follows waits while the leader measures, writes and asks. gloo notices a process that is gone
by its closed connections; one that stands still, and over NCCL also one that is gone, is noticed by
whoever waits for the leader's events."""
_BACKENDS: Final = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
_GRACE_SECONDS: Final = 10.0
_MEETING, _COMMON, _TASK = "meeting", "common.pt", "task.pt"


@dataclass(frozen=True, slots=True)
class Task:
    """One training that all take part in."""

    common: object
    """What is the same in all trainings of the run, and sent once."""
    own: object
    """What is this training's own."""
    step: int
    state: dict[str, Any]
    """What the training had come to by then."""
    threads: int
    """CPU threads of each process."""


def launched() -> Ranks | None:
    """Return this process's place where a launcher such as torchrun has started several."""
    rank, size = os.environ.get("RANK", ""), os.environ.get("WORLD_SIZE", "")
    if not (rank.isdecimal() and size.isdecimal()) or int(size) == 1:
        return None
    return Ranks(int(rank), int(size))


def touch(ranks: Ranks, device: torch.device) -> None:
    """Take a GPU of one's own, where there are GPUs."""
    if device.type == "cuda":
        torch.cuda.set_device(ranks.rank)
        torch.zeros(1, device=device)


def join(ranks: Ranks, device: torch.device, meeting: Path | None) -> None:
    """Meet the other processes in a file, or where the launcher says.

    Raises:
        CrewError: somebody does not come.
    """
    store = None
    if meeting is not None:
        store = FileStore(str(meeting), ranks.size)
        store.set_timeout(_TO_MEET)
    try:
        with between_processes():
            distributed.init_process_group(
                _BACKENDS[device.type],
                store=store,
                rank=ranks.rank if store else -1,
                world_size=ranks.size if store else -1,
                timeout=_TO_MEET,
            )
    except CrewError:
        # torch numbers its meetings, also one that failed; the next would wait under another number
        # than the processes that are started for it.
        distributed_c10d._world.group_count = 0  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  # nothing public does
        raise
    distributed_c10d._set_pg_timeout(_FOREVER)  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001  # nothing public sets it after the meeting


def leave() -> None:
    """Part from the other processes."""
    distributed.destroy_process_group()


class Orders:
    """What a process that follows is told."""

    def __init__(self, ranks: Ranks) -> None:
        """Have heard nothing yet."""
        self._ranks = ranks
        self._common: object = None

    def next(self) -> Task | None:
        """Wait for the leader to begin a training; None at the end of the run.

        Raises:
            CrewError: the leader is gone.
        """
        folder = _told(None)
        if folder is None:
            return None
        if self._common is None:
            self._common = self._read(Path(folder) / _COMMON)
        own, step, state, threads = cast("Any", self._read(Path(folder) / _TASK))
        return Task(self._common, own, step, state, threads)

    def _read(self, file: Path) -> object:
        def here(storage: Any, location: str) -> Any:
            """Put what was on the leader's GPU on this process's."""
            return storage if location == "cpu" else storage.cuda(self._ranks.rank)

        # Written by the leader in this run's own folder: no file that anybody sent.
        return torch.load(file, map_location=here, weights_only=False)


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
        """Start nobody yet: a run that only goes on to export needs nobody."""
        return self

    def lead(self, begin: Callable[[], tuple[object, object, int, dict[str, Any]]]) -> None:
        """Have everybody begin a training; `begin` gives common, own, step and state of its task.

        Raises:
            CrewError: a process could not be started, or is gone.
            DiskFullError: no room to hand the task over.
        """
        if self.ranks.size == 1:
            return
        common, *own = begin()
        if not self._met:
            self._meet()
            self._write(common, _COMMON)
        self._write((*own, self._threads), _TASK)
        _told(str(self._folder))

    def _write(self, what: object, name: str) -> None:
        with disk_full_is_named(), (self._folder / name).open("wb") as file:
            torch.save(what, file)

    def _meet(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        with disk_full_is_named():
            self._folder.mkdir(parents=True)
        touch(self.ranks, self._device)
        meeting = None if self._launched else self._folder / _MEETING
        if meeting is not None:
            for rank in range(1, self.ranks.size):
                self._followers.append(self._start(rank, meeting))
            for rank, follower in enumerate(self._followers, start=1):
                if READY not in cast("IO[bytes]", follower.stdout):
                    follower.kill()
                    raise self._lost(rank, follower)
        join(self.ranks, self._device, meeting)
        self._met = True

    def _start(self, rank: int, meeting: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "kdcore.follow", str(meeting)]
        command += ["--rank", str(rank), "--size", str(self.ranks.size)]
        command += ["--device", self._device.type, "--threads", str(self._threads)]
        # A wish to stop is the leader's business, also where it goes to the whole group. The mask
        # is inherited; and the process ends when its stdin does, so with this one.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603  # ours
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let everybody go; at once, where a training was left in the middle.

        Raises:
            CrewError: it was left since a process is gone; the message names it.
        """
        lost = self._whoever_is_gone() if isinstance(error, CrewError) else None
        try:
            if kind is None and (self._met or self._launched):
                # After the last step nobody is needed, so nobody is missed.
                with contextlib.suppress(CrewError):
                    self._say_goodbye()
        finally:
            for follower in self._followers:
                self._end(follower, at_once=kind is not None)
            self._followers = []
            if self._met:
                leave()
                self._met = False
            shutil.rmtree(self._folder, ignore_errors=True)
        if lost is not None:
            raise lost from error

    def _say_goodbye(self) -> None:
        if not self._met:
            self._meet()  # whoever was launched is waiting for it
        _told(None)

    def _end(self, follower: subprocess.Popen[bytes], *, at_once: bool) -> None:
        if at_once:
            follower.kill()
        try:
            follower.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            follower.kill()
            follower.wait()
        for pipe in (follower.stdin, follower.stdout):
            cast("IO[bytes]", pipe).close()

    def _whoever_is_gone(self) -> CrewError | None:
        """Return an error that names a process which has ended, or is about to."""
        for rank, follower in enumerate(self._followers, start=1):
            with contextlib.suppress(subprocess.TimeoutExpired):
                follower.wait(1.0)
                return self._lost(rank, follower)
        return None

    def _lost(self, rank: int, follower: subprocess.Popen[bytes]) -> CrewError:
        return CrewError(
            f"process {rank + 1} of {self.ranks.size} ended with exit code {follower.wait()}"
        )


def _told(message: str | None) -> str | None:
    """Have everybody hear what the leader says; the leader says `message`."""
    said: list[str | None] = [message]
    with between_processes():
        distributed.broadcast_object_list(said, src=0, device=torch.device("cpu"))  # pyright: ignore[reportUnknownMemberType]  # torch leaves it half typed
    return said[0]
