"""Files on this machine that come or go: what they hold, and under which name."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stillhouse.bodies import Artifact
from stillhouse.errors import StillhouseError

# A name from the network becomes a path here: nothing that could leave the folder may pass.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")

Received = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes there will be."""


class Gathering:
    """A file that comes: it gathers in a `.part` beside its target until it is whole."""

    def __init__(self, artifact: Artifact, folder: Path) -> None:
        """Take what the server lists of it, and where it goes.

        Raises:
            StillhouseError: its name is none that could be a file's in the folder.
        """
        name, self._expected = artifact["name"], artifact["sha256"]
        if not _PLAIN_NAME.fullmatch(name):
            raise StillhouseError(f"the server lists a file named {name!r}, which is no plain name")
        self.target = folder / name
        # The digest is in the name: a part of another version is never continued.
        self._part = folder / f"{name}.{self._expected[:12]}.part"

    def is_there(self) -> bool:
        """Whether the target is there and right."""
        return self.target.is_file() and sha256_of(self.target) == self._expected

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            StillhouseError: it cannot be made.
        """
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StillhouseError(f"the folder cannot be written: {error}") from error

    def here(self) -> int:
        """Bytes that have gathered, in this try or an earlier one."""
        return self._part.stat().st_size if self._part.exists() else 0

    def digest(self) -> str:
        """The sha256 of what has gathered."""
        return sha256_of(self._part)

    @contextmanager
    def writing(self, start: int) -> Generator[BinaryIO]:
        """Give the part to write into from byte `start` on."""
        with self._part.open("r+b" if start else "wb") as file:
            file.seek(start)
            yield file

    def discard(self) -> None:
        """Throw away what has gathered."""
        self._part.unlink()

    def settle(self) -> Path:
        """Give what has gathered its name, in one rename, and return the path."""
        os.replace(self._part, self.target)  # noqa: PTH105 - atomic, and over an older file
        return self.target


class Outgoing:
    """A file that goes, in parts."""

    def __init__(self, path: Path) -> None:
        """Read it once for its sha256.

        Raises:
            StillhouseError: it cannot be read.
        """
        self._path = path
        self.name = path.name
        try:
            self.size = path.stat().st_size
            self.sha256 = sha256_of(path)
        except OSError as error:
            raise StillhouseError(f"{path} cannot be read: {error.strerror or error}") from error

    def part(self, first: int, length: int) -> tuple[bytes, str]:
        """Bytes from `first` on, and what `Content-Digest` says of them.

        Raises:
            StillhouseError: they cannot be read any more.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(first)
                content = file.read(length)
        except OSError as error:
            raise StillhouseError(f"{self._path} cannot be read: {error}") from error
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        return content, f"sha-256=:{digest}:"


def sha256_of(path: Path) -> str:
    """The file's sha256 as lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
