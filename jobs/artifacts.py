"""What an artifact store is: content is complete and verified before its name exists.

Two keep this contract: a folder (`jobs/folder_store.py`) and an S3 bucket (`jobs/s3_store.py`).
Content lives at a location, `<job>/<attempt>/<name>`, so attempts never touch each other's files.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from jobs.errors import ArtifactNotFound, ArtifactRefused

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LOCATION = re.compile(rf"([A-Za-z0-9_]{{1,40}})/([0-9]{{1,10}})/({NAME.pattern})")
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file as the engine announces it, and as the ledger records it."""

    name: str
    kind: str
    size_bytes: int
    sha256: str
    media_type: str

    def check(self, size_bytes: int, sha256: str) -> None:
        """Hold what was found against what was announced.

        Raises:
            ArtifactRefused: it is something else.
        """
        if (size_bytes, sha256) != (self.size_bytes, self.sha256):
            raise ArtifactRefused(
                f"{self.name}: found {size_bytes} bytes with sha256 {sha256}; "
                f"expected {self.size_bytes} bytes with {self.sha256}"
            )


@dataclass(frozen=True, slots=True)
class Stored:
    """Something in a store: content at a location, or what an interrupted `put` left of it."""

    location: str
    since: datetime
    upload: str = ""
    """The store's own name of what is unfinished; content that is whole has none."""

    @property
    def attempt(self) -> tuple[str, int]:
        """The job and the number of the attempt that it is of."""
        job_id, number, _ = self.location.split("/")
        return job_id, int(number)


class Source(Protocol):
    """Where bytes come from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Content:
    """The bytes of one file, or of a part of it, on their way out of a store."""

    def __init__(self, source: Source, size_bytes: int, first: int, end: int | None) -> None:
        """Read `source`, which stands at byte `first`, up to byte `end` of `size_bytes`."""
        self.size_bytes = size_bytes
        """Of the whole file, whichever part is read."""
        self._source = source
        self._left = max(0, (size_bytes if end is None else min(end, size_bytes)) - first)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size`, or all that are left.

        Raises:
            StoreUnavailable: the store went away.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK_BYTES), b""))
        piece = self._source.read(min(size, self._left)) if self._left and size else b""
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Let go of the file or the connection."""
        self._source.close()

    def __enter__(self) -> Self:
        """Give the content itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of it."""
        self.close()


class Inlet(Protocol):
    """Content on its way into a store: nobody sees it before it is whole."""

    def write(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            StoreFull: there is no room.
            StoreUnavailable: the store went away.
        """
        ...

    def finish(self, delivery: Delivery) -> str:
        """Give what was written its name, and return its location; raises what `write` raises.

        The caller has counted and hashed it: the delivery says what was written.
        """
        ...

    def abandon(self) -> None:
        """Leave nothing behind, as far as the store can be reached; a collector finds the rest."""
        ...


class ArtifactStore(Protocol):
    """Where content is kept. Every method may be called from several threads.

    Each of them raises `StoreUnavailable` while the store is away.
    """

    def prepare(self) -> None:
        """See at start that content can be kept.

        Raises:
            StoreMisconfigured: it never could, until somebody changes the settings.
        """
        ...

    def ping(self) -> None:
        """Ask whether the store is there now; an answer comes within seconds."""
        ...

    def put(self, job_id: str, attempt: int, delivery: Delivery, source: Path) -> str:
        """Copy a file into the store and return its location; putting it again changes nothing.

        Raises:
            ArtifactRefused: the name is not allowed, or the content is not what was announced.
            StoreFull: there is no room; nothing half-written is left.
            OSError: the file cannot be read.
        """
        ...

    def receive(self, owner: str, number: int, name: str) -> Inlet:
        """Begin to take in content of unknown length, which will lie at `<owner>/<number>/<name>`.

        Raises:
            ArtifactRefused: the name is not allowed.
            StoreFull: there is no room.
        """
        ...

    def size(self, location: str) -> int:
        """Return how many bytes are kept at a location that a row of the ledger names.

        Raises:
            ArtifactNotFound: the content is gone.
        """
        ...

    def open(self, location: str, first: int = 0, end: int | None = None) -> Content:
        """Open the content, or its bytes from `first` up to `end`.

        Raises:
            ArtifactNotFound: the content is gone.
        """
        ...

    def link(self, location: str, name: str, seconds: int) -> str | None:
        """Return a URL that for so long gives the content to whoever has it, to be saved as `name`.

        None where content has no address of its own.
        """
        ...

    def delete(self, location: str) -> None:
        """Remove the content; what is not there is removed already."""
        ...

    def list(self, under: str = "", after: str = "") -> Iterator[Stored]:
        """Yield what is kept, in a steady order: of one job or `<job>/<attempt>`, past a location.

        Foreign files are left out.
        """
        ...

    def unfinished(self) -> Iterator[Stored]:
        """Yield what is left of interrupted puts, and what is there of those that go on now."""
        ...

    def discard(self, unfinished: Stored) -> None:
        """Remove what is left of an interrupted put; a put that goes on fails by it."""
        ...


def location_of(job_id: str, attempt: int, name: str) -> str:
    """Return where an attempt's file is kept.

    Raises:
        ArtifactRefused: the name is not allowed.
    """
    if not NAME.fullmatch(name):
        raise ArtifactRefused(f"found the artifact name {name!r}; expected {NAME.pattern}")
    return f"{job_id}/{attempt}/{name}"


def checked_location(location: str) -> str:
    """Return the location, if it can be one: nothing else becomes a path or a key.

    Raises:
        ArtifactNotFound: nothing was ever kept there.
    """
    if not LOCATION.fullmatch(location):
        raise ArtifactNotFound(location.rpartition("/")[2])
    return location


def open_plain_file(path: Path) -> BinaryIO:
    """Open a file for reading, and nothing that only looks like one.

    Raises:
        OSError: it is not there, is a link, or is no plain file.
    """
    # A link in a trainer's folder could lead to any file that the worker may read, and a named pipe
    # would keep the worker waiting for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path.name} is no plain file")
    return os.fdopen(descriptor, "rb")
