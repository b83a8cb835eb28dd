"""Files that are either whole or absent, whatever dies while they are written."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from kdcore.errors import DiskFullError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_BROKEN = {errno.EIO, errno.EROFS}


def write_file(path: Path, content: bytes) -> None:
    """Write beside, flush to the disk, and rename once.

    Raises:
        DiskFullError: no room, or a disk that fails; nothing is left behind.
    """
    # Named after the writer: two may write the same file at once, and the last one counts.
    beside = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        with disk_full_is_named():
            make_folder(path.parent)
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            sync_folder(path.parent)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; each survives a power loss once something in it does."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(exist_ok=True)
        sync_folder(one.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename in it survives a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_full_is_named() -> Generator[None]:
    """Turn the system's errors for a full disk, or for one that fails, into one that says so."""
    try:
        yield
    except OSError as error:
        if error.errno in _BROKEN:
            raise DiskFullError(
                f"the disk takes no more writes{_where(error.filename)}: {error.strerror}",
                hint="look after the disk, and retry the job",
            ) from error
        if error.errno not in _NO_ROOM:
            raise
        raise _full(error.filename) from error
    except RuntimeError as error:  # torch's writer reports a short write in its own words
        if "file write failed" not in str(error) and "unexpected pos" not in str(error):
            raise
        raise _full(None) from error


def _full(path: object) -> DiskFullError:
    return DiskFullError(f"no room is left on the disk{_where(path)}")


def _where(path: object) -> str:
    return f" for {Path(os.fsdecode(path)).name}" if isinstance(path, str | bytes) else ""
