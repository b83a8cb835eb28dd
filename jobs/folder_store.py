"""An artifact store in a folder."""

import contextlib
import errno
import hashlib
import os
import re
import stat
import tempfile
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from jobs.artifacts import (
    CHUNK_BYTES,
    LOCATION,
    Content,
    Delivery,
    Stored,
    checked_location,
    location_of,
    open_plain_file,
)
from jobs.errors import ArtifactNotFound, StoreFull, StoreMisconfigured, StoreUnavailable
from jobs.folder_inlet import FolderInlet, new_file
from kdcore.errors import DiskFullError
from kdcore.files import disk_full_is_named, sync_folder

_UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.tmp")
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR}


class FolderStore:
    """Writes beside, flushes to the disk, and renames once."""

    def __init__(self, root: Path) -> None:
        """Keep everything under the folder `root`, which `prepare` makes."""
        self.root = root

    def prepare(self) -> None:
        """Make the folder, if it is not there, and see that it can be written.

        Raises:
            StoreMisconfigured: it cannot.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._touch()
        except OSError as error:
            raise StoreMisconfigured(
                f"the artifact store {self.root} cannot be written: {error.strerror or error}",
                hint="make the folder writable, or name another one in STILLHOUSE_ARTIFACTS",
            ) from error

    def ping(self) -> None:
        """Try whether content could be kept."""
        with _named():
            self._touch()

    def _touch(self) -> None:
        with tempfile.NamedTemporaryFile(prefix=".ping-", dir=self.root):
            pass

    def put(self, job_id: str, attempt: int, delivery: Delivery, source: Path) -> str:
        """Copy a file into the store; see `ArtifactStore`."""
        location = location_of(job_id, attempt, delivery.name)
        target = self.root / location
        beside = target.with_name(f".{uuid.uuid4().hex}.tmp")
        with open_plain_file(source) as content:
            try:
                with disk_full_is_named():
                    with new_file(beside) as copy:
                        _copy(content, copy, delivery)
                    beside.replace(target)
                    sync_folder(target.parent)
            except DiskFullError as error:
                raise StoreFull(
                    f"cannot keep {delivery.name} ({delivery.size_bytes} bytes): {error}",
                    hint="free some space; the job goes on from its last checkpoint",
                ) from error
            finally:
                beside.unlink(missing_ok=True)
        return location

    def receive(self, owner: str, number: int, name: str) -> FolderInlet:
        """Begin to take in content of unknown length; see `ArtifactStore`."""
        return FolderInlet(self.root, location_of(owner, number, name))

    def size(self, location: str) -> int:
        """Return how many bytes are kept at a location."""
        with self.open(location) as content:
            return content.size_bytes

    def open(self, location: str, first: int = 0, end: int | None = None) -> Content:
        """Open the content at a location; see `ArtifactStore`."""
        path = self.root / checked_location(location)
        with _named(gone=path.name):
            if not path.resolve().is_relative_to(self.root.resolve()):
                raise ArtifactNotFound(path.name)
            source = open_plain_file(path)
            source.seek(first)
            return Content(source, os.fstat(source.fileno()).st_size, first, end)

    def link(self, location: str, name: str, seconds: int) -> None:  # noqa: ARG002  # the contract's
        """Return None: a file has no address that a client could reach."""
        return

    def delete(self, location: str) -> None:
        """Remove the content, and folders that are empty then."""
        self._remove(self.root / checked_location(location))

    def list(self, under: str = "", after: str = "") -> Iterator[Stored]:
        """Yield what is kept, ordered by job, attempt and name as words."""
        for path, location in self._walk(under, after.split("/") if after else ()):
            if LOCATION.fullmatch(location) and (since := _changed(path)):
                yield Stored(location, since)

    def unfinished(self) -> Iterator[Stored]:
        """Yield what was being written and has not got its name."""
        for path, location in self._walk("", ()):
            if _UNFINISHED.fullmatch(path.name) and (since := _changed(path)):
                yield Stored(location, since, upload=path.name)

    def discard(self, unfinished: Stored) -> None:
        """Remove a file that never got its name."""
        if _UNFINISHED.fullmatch(unfinished.upload):
            job_id, attempt = unfinished.attempt
            self._remove(self.root / job_id / str(attempt) / unfinished.upload)

    def _walk(self, under: str, after: Sequence[str]) -> Iterator[tuple[Path, str]]:
        past = tuple(after)
        job_id, _, attempt = under.partition("/")
        for job in [job_id] if job_id else _entries(self.root):
            if (job,) < past[:1]:
                continue
            for number in [attempt] if attempt else _entries(self.root / job):
                if (job, number) < past[:2]:
                    continue
                for name in _entries(self.root / job / number):
                    if (job, number, name) > past:
                        yield self.root / job / number / name, f"{job}/{number}/{name}"

    def _remove(self, path: Path) -> None:
        with _named():
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else is in there
            path.parent.rmdir()
            path.parent.parent.rmdir()


def _copy(content: BinaryIO, copy: BinaryIO, delivery: Delivery) -> None:
    digest = hashlib.sha256()
    size = 0
    while block := content.read(CHUNK_BYTES):
        digest.update(block)
        size += len(block)
        copy.write(block)
    copy.flush()
    os.fsync(copy.fileno())
    delivery.check(size, digest.hexdigest())


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208  # names are enough
    except (FileNotFoundError, NotADirectoryError):
        return []


def _changed(path: Path) -> datetime | None:
    """Return when a file was last written; None for what is gone, or is no file."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return datetime.fromtimestamp(found.st_mtime, UTC) if stat.S_ISREG(found.st_mode) else None


@contextmanager
def _named(gone: str | None = None) -> Generator[None]:
    """Tell content that is gone from a disk that does not answer."""
    try:
        yield
    except OSError as error:
        if gone is not None and (error.errno is None or error.errno in _GONE):
            raise ArtifactNotFound(gone, gone=True) from error
        raise StoreUnavailable(
            f"the artifact store's folder does not answer: {error.strerror or error}",
            hint="see that the folder is there and can be written",
        ) from error
