"""Tar archives that anybody may have made, as shards of samples: plain files in them, and no more.

A shard is looked through once, from header to header; what lies between is read where it lies, and
nothing is ever unpacked to the disk.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

from kdcore.errors import DataError
from kdcore.reading.names import is_left_out, short, what_is_wrong

MAX_MEMBERS: Final = 5_000_000
MAX_MEMBER_BYTES: Final = 2**28
MAX_HEADER_BYTES: Final = 2**16
"""Of one member, long names and the like among them, which are held in memory."""
_BLOCK: Final = 512
_PIECE: Final = 2**16
_PLAIN: Final = (tarfile.REGTYPE, tarfile.AREGTYPE)
_KINDS: Final = {
    tarfile.LNKTYPE: "a link",
    tarfile.SYMTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_REPACK: Final = "write the shards anew, of plain files and uncompressed"


@dataclass(frozen=True, slots=True)
class Member:
    """A plain file in a shard."""

    name: str
    start: int
    """Where its bytes begin in the shard."""
    size: int


class Shard:
    """One archive, open for reading; use it as a context."""

    def __init__(self, file: Path, shown: str) -> None:
        """Open `file`, which people call `shown`."""
        self._shown = shown
        try:
            self._stream = file.open("rb")
            self._size = self._stream.seek(0, io.SEEK_END)
        except OSError as error:
            raise DataError(f"{shown}: cannot be read ({error.strerror or error})") from None

    def close(self) -> None:
        """Close the archive."""
        self._stream.close()

    def members(self) -> Iterator[Member]:
        """Yield the files of the archive, in their order, every header being in order.

        Raises:
            DataError: it is no plain tar archive, is damaged, or holds anything but plain files.
        """
        end, seen = 0, set[str]()
        self._stream.seek(0)
        try:
            headers = _Headers(self._stream)
            with tarfile.open(fileobj=headers, mode="r:") as archive:  # uncompressed alone
                kept = cast("Any", archive).members
                while (info := archive.next()) is not None:
                    kept.clear()  # memory for one header, not for all
                    headers.left = MAX_HEADER_BYTES
                    end = self._checked(info)
                    name = info.name.removeprefix("./")
                    if info.isdir() or is_left_out(name):
                        continue
                    if name in seen:
                        raise self._refuse(f"{short(name)!r} stands there twice; expected once")
                    seen.add(name)
                    if len(seen) > MAX_MEMBERS:
                        raise self._refuse(f"has more than {MAX_MEMBERS:,} files")
                    yield Member(name, info.offset_data, info.size)
        except (tarfile.TarError, OSError, ValueError, OverflowError) as error:
            raise self._refuse(f"is no plain tar archive ({short(str(error))})") from None
        self._check_end(end)

    def read(self, start: int, size: int) -> bytes:
        """Return what lies at a place.

        Raises:
            DataError: it cannot be read, or not all of it is there.
        """
        try:
            self._stream.seek(start)
            content = self._stream.read(size)
        except OSError as error:
            raise self._refuse(f"cannot be read ({error.strerror or error})") from None
        if len(content) != size:
            raise self._refuse("has become shorter while it was read")
        return content

    def _checked(self, info: tarfile.TarInfo) -> int:
        """Return where a member ends, which is a plain file or a folder."""
        name = info.name.removeprefix("./")
        shown = repr(short(name))
        if name not in {"", "."} and (wrong := what_is_wrong(name)):
            raise self._refuse(f"the name {shown} {wrong}")
        if info.issparse() or not (info.isdir() or info.type in _PLAIN):
            kind = "a sparse file" if info.issparse() else _KINDS.get(info.type, "no plain file")
            raise self._refuse(f"{shown} is {kind}; expected plain files", hint=_REPACK)
        if not 0 <= info.size <= MAX_MEMBER_BYTES:
            raise self._refuse(
                f"{shown} has {info.size:,} bytes; expected at most {MAX_MEMBER_BYTES:,}",
                hint="make the file smaller",
            )
        end = info.offset_data + (0 if info.isdir() else -(-info.size // _BLOCK) * _BLOCK)
        if info.offset_data + info.size > self._size:
            raise self._refuse(f"is cut short in {shown}", hint="copy the shard once more")
        return end

    def _check_end(self, end: int) -> None:
        """Refuse what comes after the last member: whatever it is, it was not read."""
        self._stream.seek(end)
        first = self._stream.read(_BLOCK)
        if len(first) < _BLOCK:
            raise self._refuse("is cut short after its last file", hint="copy it once more")
        rest = first
        while rest:
            if rest.count(0) != len(rest):
                raise self._refuse(
                    f"holds what is no header of a file after {end:,} bytes; expected its end",
                    hint="copy the shard once more; archives put together with cat are not read",
                )
            rest = self._stream.read(_PIECE)

    def _refuse(self, found: str, hint: str = _REPACK) -> DataError:
        return DataError(f"{self._shown}: {found}", hint=hint)


class _Headers(io.RawIOBase):
    """What `tarfile` reads: headers, of so many bytes for each member, whatever they say."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.left = MAX_HEADER_BYTES

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= self.left:
            raise tarfile.ReadError("a header is too long")
        self.left -= size
        return self._stream.read(size)
