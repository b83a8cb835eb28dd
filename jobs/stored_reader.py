"""Content of a store as a file that can be read from anywhere, without a copy of it."""

import errno
import io
import os
from typing import BinaryIO, cast

from jobs.artifacts import ArtifactStore, Content

_BUFFER_BYTES = 1 << 16


class _Reader(io.RawIOBase):
    def __init__(self, store: ArtifactStore, location: str, size_bytes: int) -> None:
        self._store = store
        self._location = location
        self._size = size_bytes
        self._place = 0
        self._content: Content | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        place = start + offset
        if place < 0:
            # As files do; `zipfile` looks in front of small ones.
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if place != self._place:
            self._let_go()
        self._place = place
        return place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer)).cast("B")
        if self._place >= self._size:
            return 0
        if self._content is None:
            self._content = self._store.open(self._location, self._place)
        piece = self._content.read(len(view))
        view[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def close(self) -> None:
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self._content is not None:
            self._content.close()
            self._content = None


def open_stored(store: ArtifactStore, location: str, size_bytes: int) -> BinaryIO:
    """Open content; each read raises what the store's `open` raises."""
    reader = _Reader(store, location, size_bytes)
    return cast("BinaryIO", io.BufferedReader(reader, _BUFFER_BYTES))
