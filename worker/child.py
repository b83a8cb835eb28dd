"""Starting, hearing and ending the child process of an attempt."""

import contextlib
import fcntl
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from worker.environment import bare_environment
from worker.keeper import Ends, Keeper

TRAINER = (sys.executable, "-P", "-m", "worker.trainer")
MAX_LINE_BYTES = 8 << 20
PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 16


class BrokenStoryError(Exception):
    """The child wrote something that is not a line of its story."""


class Process(Protocol):
    """A child of this process: one that it started, or one that it was given."""

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its process group."""
        ...

    @property
    def returncode(self) -> int | None:
        """Its exit code, or minus the signal, once it has been waited for."""
        ...

    def wait(self) -> int:
        """Wait for its end; return its exit code, or minus the signal."""
        ...


class Child:
    """A process in a session of its own, which reports lines on a pipe.

    It ends with this process, and a cold one also with the thread that made it.
    """

    def __init__(
        self,
        command: Sequence[str],
        order: Mapping[str, Any],
        workdir: Path,
        keeper: Keeper | None = None,
        overhear: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        """Have the keeper's nursery fork it, or else start the command; hand it the order.

        What it writes to its standard output and error is overheard.

        Raises:
            OSError: it cannot be started.
        """

        def start(ends: Ends) -> Process:
            return subprocess.Popen(  # noqa: S603  # our own program
                [*command, "--events-fd", str(ends.events), "--parent", str(os.getpid())],
                stdin=ends.order,
                stdout=ends.log,
                stderr=subprocess.STDOUT,
                pass_fds=(ends.events,),
                start_new_session=True,
                cwd=ends.workdir,
                env=bare_environment(),
            )

        forked = self._begin(keeper.fork, order, workdir) if keeper else None
        self.is_warm = forked is not None
        """Whether it was forked with the engine loaded."""
        process = forked or self._begin(start, order, workdir)
        assert process is not None  # noqa: S101  # only a nursery can be missing
        self._process = process
        self._overhear = overhear
        self._buffer = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._lines, selectors.EVENT_READ)

    def _begin(
        self, start: Callable[[Ends], Process | None], order: Mapping[str, Any], workdir: Path
    ) -> Process | None:
        """Start a process on pipes of its own; a late one of an earlier try reads none of these."""
        self._lines, events = os.pipe()
        self._words, log = os.pipe()
        stdin, ordering = os.pipe()
        process = None
        try:
            process = start(Ends(order=stdin, events=events, log=log, workdir=workdir))
        finally:
            for theirs in (events, log, stdin):
                os.close(theirs)
            if process is None:
                for ours in (ordering, self._lines, self._words):
                    os.close(ours)
        if process is None:
            return None
        for end in (self._lines, self._words):
            os.set_blocking(end, False)  # the standard library's signature
            with contextlib.suppress(AttributeError, OSError):
                # Room for some minutes of events: a slow database must not hold up a training.
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with contextlib.suppress(BrokenPipeError), os.fdopen(ordering, "wb") as pipe:
            pipe.write(json.dumps(order).encode())
        return process

    @property
    def pid(self) -> int:
        """The child's process id, and that of its process group."""
        return self._process.pid

    def lines(self, timeout: float) -> list[bytes] | None:
        """Return the whole lines that came within the timeout; None when no more can come.

        Raises:
            BrokenStoryError: a line is longer than any event.
        """
        self.listen()
        if self._ended():
            # Whatever it had started holds the pipe open, and must go with it.
            self.kill()
            came = b"".join(iter(lambda: _read(self._lines), b""))
        elif self._selector.select(timeout):
            came = _read(self._lines)
        else:
            return []
        if not came:
            return None
        head, newline, tail = came.rpartition(b"\n")
        whole = bytes(self._buffer + head).split(b"\n") if newline else []
        if newline:
            self._buffer.clear()
        self._buffer += tail
        if max(map(len, [*whole, self._buffer])) > MAX_LINE_BYTES:
            raise BrokenStoryError(f"a line is longer than {MAX_LINE_BYTES} bytes")
        return whole

    def listen(self) -> None:
        """Take in what it wrote to its standard output and error, at most a pipe full."""
        for _ in range(PIPE_BYTES // _READ_BYTES):
            written = _read(self._words)
            if not written:
                return
            self._overhear(written)

    def ask_to_stop(self) -> None:
        """Ask the child to save and to exit."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the child and everything that it started."""
        if self._process.returncode is None:
            # Not yet waited for, so the number cannot have been given to another process.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """Return the exit code, or minus the signal; a child that takes longer is killed."""
        deadline = time.monotonic() + timeout
        while not self._ended() and time.monotonic() < deadline:
            self.listen()  # one that waits for room to write cannot end
            time.sleep(0.01)
        self.kill()
        code = self._process.wait()
        self.listen()
        return code

    def _ended(self) -> bool:
        if self._process.returncode is not None:
            return True
        # Looks without waiting for it: while it is not waited for, its group can still be killed.
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, look) is not None

    def __enter__(self) -> Self:
        """Return the child itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave nothing behind."""
        self.kill()
        self._process.wait()
        self._selector.close()
        os.close(self._lines)
        os.close(self._words)


def _read(pipe: int) -> bytes:
    try:
        return os.read(pipe, _READ_BYTES)
    except BlockingIOError:
        return b""
