"""The artifact store: a folder. Content is complete and verified before its name exists."""

import contextlib
import hashlib
import os
import re
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from jobs.errors import ArtifactNotFound, ArtifactRefused, StoreFull
from kdcore.errors import DiskFullError
from kdcore.files import disk_full_is_named, sync_folder

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file as the engine announces it, and as the ledger records it."""

    name: str
    kind: str
    size_bytes: int
    sha256: str
    media_type: str


class ArtifactStore:
    """Keeps content under `<job>/<attempt>/<name>`; attempts can never touch each other's files."""

    def __init__(self, root: Path) -> None:
        """Keep everything under the folder `root`, which is made when it is needed."""
        self.root = root

    def prepare(self) -> None:
        """Make the folder, if it is not there.

        Raises:
            OSError: the disk refuses.
        """
        self.root.mkdir(parents=True, exist_ok=True)

    def ping(self) -> None:
        """Try whether content could be kept.

        Raises:
            OSError: it could not.
        """
        with tempfile.NamedTemporaryFile(prefix=".ping-", dir=self.root):
            pass

    def put(self, job_id: str, attempt: int, delivery: Delivery, source: Path) -> str:
        """Copy a file into the store and return its location; putting it again changes nothing.

        Raises:
            ArtifactRefused: the name is not allowed, or the content is not what was announced.
            StoreFull: there is no room; nothing half-written is left.
        """
        if not NAME.fullmatch(delivery.name):
            raise ArtifactRefused(
                f"found the artifact name {delivery.name!r}; expected {NAME.pattern}"
            )
        location = f"{job_id}/{attempt}/{delivery.name}"
        target = self.root / location
        beside = target.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            with disk_full_is_named():
                target.parent.mkdir(parents=True, exist_ok=True)
                self._copy(source, beside, delivery)
                beside.replace(target)
                sync_folder(target.parent)
        except DiskFullError as error:
            raise StoreFull(
                f"no room in the artifact store for {delivery.name} ({delivery.size_bytes} bytes)",
                hint="free some space; the job goes on from its last checkpoint",
            ) from error
        finally:
            beside.unlink(missing_ok=True)
        return location

    def _copy(self, source: Path, beside: Path, delivery: Delivery) -> None:
        digest = hashlib.sha256()
        size = 0
        with _open_plain_file(source) as content, beside.open("xb") as copy:
            while block := content.read(CHUNK_BYTES):
                digest.update(block)
                size += len(block)
                copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())
        if (size, digest.hexdigest()) != (delivery.size_bytes, delivery.sha256):
            raise ArtifactRefused(
                f"{delivery.name}: found {size} bytes with sha256 {digest.hexdigest()}; "
                f"expected {delivery.size_bytes} bytes with {delivery.sha256}"
            )

    def open(self, location: str) -> BinaryIO:
        """Open the content at a location that a row of the ledger names; it can be sought in.

        Raises:
            ArtifactNotFound: the content is gone.
        """
        path = self.root / location
        try:
            if not path.resolve().is_relative_to(self.root.resolve()):
                raise ArtifactNotFound(path.name)
            return _open_plain_file(path)
        except OSError as error:
            raise ArtifactNotFound(path.name, gone=True) from error

    def delete(self, location: str) -> None:
        """Remove the content at a location; removing it again changes nothing.

        Raises:
            OSError: the disk refuses.
        """
        path = self.root / location
        if not path.resolve().is_relative_to(self.root.resolve()):
            return
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            # The folders of its attempt and of its job, once they are empty.
            path.parent.rmdir()
            path.parent.parent.rmdir()


def _open_plain_file(path: Path) -> BinaryIO:
    # A link in a trainer's folder could lead to any file that the worker may read.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
