"""A bell without a broker: a named pipe for each worker, in the data folder that all share.

Whoever has committed writes a byte into every pipe. It wakes the workers of this machine; those of
another machine, and any that is missed, find the job by their poll.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import Self

_SUFFIX = ".bell"
_RING = b"!"
_READ_BYTES = 4096


def ring_all(folder: Path) -> bool:
    """Wake every worker that listens in the folder; tell whether there was any. Never waits."""
    heard = False
    for pipe in folder.glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            heard |= _ring(pipe)
    return heard


def _ring(pipe: Path) -> bool:
    try:
        writing = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno == errno.ENXIO:
            # Nobody reads it any more: a worker opens its pipe before it gets this name.
            pipe.unlink(missing_ok=True)
        return False
    try:
        if not stat.S_ISFIFO(os.fstat(writing).st_mode):
            return False
        with contextlib.suppress(BlockingIOError):  # full of rings that are still to be heard
            os.write(writing, _RING)
        return True
    finally:
        os.close(writing)


class Doorbell:
    """The pipe of one worker."""

    def __init__(self, folder: Path, name: str) -> None:
        """Hang it up in the folder, under a name that no other worker has.

        Raises:
            OSError: the folder can hold no named pipes.
        """
        self._stopped = False
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}{_SUFFIX}"
        beside = self._path.with_suffix(".tmp")
        os.mkfifo(beside, 0o600)
        # For writing as well, so that it is never at an end while nobody rings.
        self._pipe = os.open(beside, os.O_RDWR)
        beside.rename(self._path)

    def wait(self) -> bool:
        """Wait until it rings, once or often; tell whether to go on listening."""
        os.read(self._pipe, _READ_BYTES)
        return not self._stopped

    def stop(self) -> None:
        """Let `wait` return, in whatever thread it is called."""
        if not self._stopped:
            self._stopped = True
            # A full pipe has woken its reader, who is about to make room.
            os.write(self._pipe, _RING)

    def __enter__(self) -> Self:
        """Return the bell itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take it down."""
        self._path.unlink(missing_ok=True)
        os.close(self._pipe)
