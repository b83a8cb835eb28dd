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
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from worker.workdir import LOG

TRAINER = (sys.executable, "-P", "-m", "worker.trainer")
MAX_LINE_BYTES = 8 << 20
PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 16
_KEPT = frozenset(
    {"PATH", "HOME", "USER", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
)
_KEPT_FAMILIES = ("LC_", "CUDA_", "NVIDIA_", "XDG_")


class BrokenStoryError(Exception):
    """The child wrote something that is not a line of its story."""


class Child:
    """A process in a session of its own, which reports lines on a pipe.

    The thread that makes it must live as long as the child may: its end is the child's end.
    """

    def __init__(
        self, command: Sequence[str], order: Mapping[str, Any], workdir: Path, *, threads: int
    ) -> None:
        """Start the command and hand it the order on stdin.

        Raises:
            OSError: it cannot be started.
        """
        self._lines, writing = os.pipe()
        os.set_blocking(self._lines, False)  # the standard library's signature
        with contextlib.suppress(AttributeError, OSError):
            # Room for some minutes of events, so that a slow database does not hold up a training.
            fcntl.fcntl(self._lines, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            with (workdir / LOG).open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603  # our own program
                    [*command, "--events-fd", str(writing), "--parent", str(os.getpid())],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    pass_fds=(writing,),
                    start_new_session=True,
                    cwd=workdir,
                    env=_environment(threads),
                )
        except OSError:
            os.close(self._lines)
            raise
        finally:
            os.close(writing)
        self._buffer = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._lines, selectors.EVENT_READ)
        assert self._process.stdin is not None  # noqa: S101  # asked for above
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(json.dumps(order).encode())

    @property
    def pid(self) -> int:
        """The child's process id, and that of its process group."""
        return self._process.pid

    def lines(self, timeout: float) -> list[bytes] | None:
        """Return the whole lines that came within the timeout; None when no more can come.

        Raises:
            BrokenStoryError: a line is longer than any event.
        """
        if self._ended():
            # Whatever it had started holds the pipe open, and must go with it.
            self.kill()
            came = b"".join(iter(self._read, b""))
        elif self._selector.select(timeout):
            came = self._read()
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

    def _read(self) -> bytes:
        try:
            return os.read(self._lines, _READ_BYTES)
        except BlockingIOError:
            return b""

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
            time.sleep(0.01)
        self.kill()
        return self._process.wait()

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


def _environment(threads: int) -> dict[str, str]:
    """Return an allow-list: a trainer has no business with the database, the broker or any key."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_FAMILIES)
    }
    root = Path(__file__).resolve().parents[1]
    if root.name != "site-packages":
        # The child starts in its own folder, and a clone's packages are not there.
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), kept.get("PYTHONPATH")]))
    kept["PYTHONUNBUFFERED"] = "1"
    kept["OMP_NUM_THREADS"] = kept["MKL_NUM_THREADS"] = str(threads)
    return kept
