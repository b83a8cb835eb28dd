"""Content of unknown length on its way into a folder: written beside, and renamed once."""

import contextlib
import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from jobs.artifacts import Delivery
from jobs.errors import StoreFull, StoreUnavailable
from kdcore.errors import DiskFullError
from kdcore.files import disk_full_is_named, sync_folder

_TRIES = 100


class FolderInlet:
    """A file that has not got its name."""

    def __init__(self, root: Path, location: str) -> None:
        """Begin beside what will be `<root>/<location>`."""
        self._location = location
        self._target = root / location
        self._beside = self._target.with_name(f".{uuid.uuid4().hex}.tmp")
        with _named():
            self._file = new_file(self._beside)

    def write(self, block: bytes) -> None:
        """Take the next bytes; see `Inlet`."""
        with _named():
            self._file.write(block)

    def finish(self, delivery: Delivery) -> str:  # noqa: ARG002  # what was written is on the disk
        """Flush and rename; see `Inlet`."""
        with _named():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._beside.replace(self._target)
            sync_folder(self._target.parent)
        return self._location

    def abandon(self) -> None:
        """Remove the file, and its folders if they are empty then."""
        with contextlib.suppress(OSError):  # what it still held may have no room
            self._file.close()
        with contextlib.suppress(OSError):  # something else is in there, or a collector finds it
            self._beside.unlink(missing_ok=True)
            self._beside.parent.rmdir()
            self._beside.parent.parent.rmdir()


def new_file(path: Path) -> BinaryIO:
    """Make a file, and the folders above it.

    Raises:
        OSError: the disk refuses.
    """
    for left in reversed(range(_TRIES)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("xb")
        except (FileNotFoundError, FileExistsError):
            # Whoever deleted the last other file took the empty folder with it at this moment.
            if not left:
                raise
    raise AssertionError


@contextmanager
def _named() -> Generator[None]:
    """Tell a disk without room from one that does not answer."""
    try:
        with disk_full_is_named():
            yield
    except DiskFullError as error:
        raise StoreFull(
            f"the artifact store has no room for what is uploaded: {error}",
            hint="delete what is not needed any more, or have the store enlarged",
        ) from error
    except OSError as error:
        raise StoreUnavailable(
            f"the artifact store's folder does not answer: {error.strerror or error}",
            hint="see that the folder is there and can be written",
        ) from error
