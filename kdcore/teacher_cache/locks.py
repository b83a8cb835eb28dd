"""Locks between processes: `flock`s, which go with their process, as their files go with them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kdcore.files import disk_full_is_named

FOLDER = "locks"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that is held."""

    file: IO[str]

    @contextlib.contextmanager
    def alone(self) -> Generator[bool]:
        """Hold a shared lock alone for a while; gives False where others share it.

        Between the two it is held by nobody for a moment: whoever could use that to remove what is
        locked has to hold another lock, as the caller does.
        """
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            alone = False
        else:
            alone = True
        try:
            yield alone
        finally:
            fcntl.flock(self.file, fcntl.LOCK_SH)

    def write(self, text: str) -> None:
        """Say something to those who find it locked."""
        with disk_full_is_named():
            self.file.write(text)
            self.file.flush()


@contextlib.contextmanager
def locked(root: Path, name: str, how: int) -> Generator[Lock | None]:
    """Hold a lock; gives None where it would have to wait and may not.

    Its file goes with the last who holds it. Who has waited for a file that is gone by then takes
    the one that is there.
    """
    path = root / FOLDER / name
    while True:
        with disk_full_is_named():
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a")
        with file:
            try:
                fcntl.flock(file, how)
            except BlockingIOError:
                yield None
                return
            if not _is_at(path, file):
                continue
            try:
                yield Lock(file)
            finally:
                _clear(path, file)
                fcntl.flock(file, fcntl.LOCK_UN)  # a child that was forked may have it open as well
            return


def _clear(path: Path, file: IO[str]) -> None:
    """Remove the file if nobody else holds it, or waits and will see that it is gone."""
    with contextlib.suppress(OSError):  # somebody else holds it
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(path, file):  # in between it was nobody's, and may be another's by now
            path.unlink()


def _is_at(path: Path, file: IO[str]) -> bool:
    """Return whether a name still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
