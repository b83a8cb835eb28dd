"""Zip archives that anybody may have made: looked through before anything is read, and bounded.

Nothing is unpacked to the disk here; a name in an archive is a name, and no path of this machine.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Self

from kdcore.errors import DataError
from kdcore.reading.names import is_left_out, short
from kdcore.reading.zip_names import name_of

MAX_ENTRIES: Final = 500_000
MAX_DIRECTORY_BYTES: Final = 2**26
"""Of the list of all entries, which is held in memory."""
MAX_ENTRY_BYTES: Final = 2**28
"""One entry, unpacked."""
MAX_BYTES: Final = 2**36
"""All entries, unpacked."""
MAX_RATIO: Final = 200
"""Unpacked bytes for one in the archive; images and text are far below."""
_FREE: Final = 2**20
"""Bytes that an entry may unpack to, whatever its ratio."""
_FREE_ARRAY: Final = 2**26
"""As much for an array: labels pack well."""

_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
_PATCHED: Final = 0x20
_LOCAL_HEADER: Final = 30
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
_LOCATOR: Final = b"PK\x06\x07"
_LOCATOR_BYTES: Final = 20
_END64_BYTES: Final = 56
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    struct.error,
)
_REPACK: Final = "pack the folder anew with any common program, without special options"

_OTHERS: Final = {
    b"\x1f\x8b": "a gzip file, such as tar.gz",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
}
_TAR_MARK: Final = slice(257, 262)
_NESTED: Final = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")


class ZipTree:
    """The files of one archive, by their names; use it as a context.

    Raises:
        DataError: on opening, where anything in it is not as it should be; the archive is left
            alone then.
    """

    def __init__(
        self,
        file: Path | BinaryIO,
        shown: str,
        *,
        of_arrays: bool = False,
        is_folder: Callable[[Sequence[str]], bool] | None = None,
    ) -> None:
        """Open `file`, which people call `shown`, and look through its directory.

        One entry of an `.npz` may hold all of the data. So may one of an archive that `is_folder`
        tells by its names: it is a folder of large files, which may be tar archives.
        """
        self._shown = shown
        self._is_folder = is_folder
        self.is_folder = False
        """Whether it is one."""
        self._most, self._free = (MAX_BYTES, _FREE_ARRAY) if of_arrays else (MAX_ENTRY_BYTES, _FREE)
        try:
            self._stream = file.open("rb") if isinstance(file, Path) else file
        except OSError as error:
            raise DataError(f"{shown}: cannot be read ({error.strerror or error})") from None
        try:
            self._size = self._stream.seek(0, io.SEEK_END)
            self._check_kind()
            self._check_directory()
            self._archive = zipfile.ZipFile(self._stream)
            self._entries = self._looked_through()
        except _DAMAGED as error:
            self._stream.close()
            raise self._refuse(f"is a damaged zip archive ({short(str(error))})") from None
        except DataError:
            self._stream.close()
            raise

    def __enter__(self) -> Self:
        """Return the tree."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the archive."""
        self._archive.close()
        self._stream.close()

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file, unpacked, by name with `/` between folders, in order of the names."""
        return {name: entry.file_size for name, entry in self._entries.items()}

    def read(self, name: str) -> bytes:
        """Return the content of a file, of as many bytes as the directory says.

        Raises:
            DataError: it is damaged, or of another size than the archive says.
        """
        return b"".join(self.blocks(name, self._entries[name].file_size + 1))

    def blocks(self, name: str, size: int) -> Iterator[bytes]:
        """Yield the content of a file, `size` bytes at a time; raises what `read` raises."""
        entry, done = self._entries[name], 0
        try:
            with self._archive.open(entry) as stream:
                while block := stream.read(min(size, entry.file_size + 1 - done)):
                    done += len(block)
                    yield block
        except _DAMAGED as error:
            raise self._refuse(f"{name!r} is damaged ({short(str(error))})") from None
        if done != entry.file_size:
            raise self._refuse(
                f"{name!r} unpacks to {done:,} bytes; its entry says {entry.file_size:,}"
            )

    def head(self, name: str, most_bytes: int) -> bytes:
        """Return the first bytes of a file; raises what `read` raises."""
        try:
            with self._archive.open(self._entries[name]) as stream:
                return stream.read(most_bytes)
        except _DAMAGED as error:
            raise self._refuse(f"{name!r} is damaged ({short(str(error))})") from None

    def _refuse(self, found: str, hint: str = _REPACK) -> DataError:
        return DataError(f"{self._shown}: {found}", hint=hint)

    def _check_kind(self) -> None:
        self._stream.seek(0)
        start = self._stream.read(512)
        kind = next((kind for mark, kind in _OTHERS.items() if start.startswith(mark)), None)
        if start[_TAR_MARK] == b"ustar":
            kind = "a tar archive"
        if kind:
            raise self._refuse(
                f"is {kind}; expected a zip archive or a folder",
                hint="unpack it, and name the folder, or pack the folder as a zip archive",
            )
        if not start.startswith(b"PK"):
            found = f"begins with {start[:16]!r}" if start else "is empty"
            raise self._refuse(f"{found}; expected a zip archive")

    def _check_directory(self) -> None:
        """Refuse a list of entries too long to be held, before the standard library holds it."""
        start = max(self._size - 2**16 - _END_BYTES, 0)
        self._stream.seek(start)
        tail = self._stream.read()
        place = tail.rfind(_END)
        if place < 0 or place + _END_BYTES > len(tail):
            raise self._refuse("has no end of a zip archive; it is cut short")
        entries, size = struct.unpack("<HI", tail[place + 10 : place + 16])
        if tail[max(place - _LOCATOR_BYTES, 0) : place].startswith(_LOCATOR):
            (at,) = struct.unpack("<Q", tail[place - 12 : place - 4])
            self._stream.seek(min(at, self._size))
            end = self._stream.read(_END64_BYTES)
            entries, size = struct.unpack("<QQ", end[32:48])
        if entries > MAX_ENTRIES or size > MAX_DIRECTORY_BYTES:
            raise self._refuse(
                f"lists {entries:,} entries in {size:,} bytes; expected at most {MAX_ENTRIES:,} "
                f"in {MAX_DIRECTORY_BYTES:,}",
                hint="unpack it, and name the folder",
            )

    def _looked_through(self) -> dict[str, zipfile.ZipInfo]:
        """Return the files by name, every entry of the archive being in order."""
        found: dict[str, zipfile.ZipInfo] = {}
        infos = self._archive.infolist()
        if len(infos) > MAX_ENTRIES:
            raise self._refuse(f"has {len(infos):,} entries; expected at most {MAX_ENTRIES:,}")
        if self._is_folder and self._is_folder([info.filename for info in infos]):
            self.is_folder, self._most = True, MAX_BYTES
        total = 0
        for info in infos:
            name = name_of(info, self._refuse)
            self._check(info, name)
            total += info.file_size
            if name.endswith("/"):
                if info.file_size:
                    raise self._refuse(f"the folder {short(name)!r} holds bytes of its own")
                continue
            if name in found:
                raise self._refuse(f"{short(name)!r} stands there twice; expected once")
            found[name] = info
        if total > MAX_BYTES:
            raise self._refuse(
                f"unpacks to {total:,} bytes; expected at most {MAX_BYTES:,}",
                hint="leave out what is no sample, or make the images smaller",
            )
        self._check_places(infos)
        names = sorted(name for name in found if not is_left_out(name))
        self._check_names(names)
        return {name: found[name] for name in names}

    def _check_names(self, names: list[str]) -> None:
        """Refuse what would be an archive again, or a file and a folder at once."""
        files = set(names)
        for name in names:
            if name.lower().endswith(_NESTED) and not (self.is_folder and name.endswith(".tar")):
                raise self._refuse(
                    f"{short(name)!r} is an archive in the archive", hint="unpack the inner one"
                )
            parts = name.split("/")
            for end in range(1, len(parts)):
                if (folder := "/".join(parts[:end])) in files:
                    raise self._refuse(f"{short(folder)!r} is a file and a folder as well")

    def _check(self, info: zipfile.ZipInfo, name: str) -> None:
        """Refuse an entry that is no plain file or folder, or too large."""
        shown, size, packed = repr(short(name)), info.file_size, info.compress_size
        if info.flag_bits & _ENCRYPTED:
            raise self._refuse(f"{shown} is encrypted", hint="pack it anew without a password")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind == stat.S_IFLNK:
            raise self._refuse(
                f"{shown} is a link", hint="pack the files that the links lead to instead"
            )
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise self._refuse(f"{shown} is no plain file")
        if info.flag_bits & _PATCHED or info.compress_type not in _METHODS:
            raise self._refuse(
                f"{shown} is packed by method {info.compress_type}; expected deflate, or none"
            )
        if size > self._most:
            raise self._refuse(
                f"{shown} unpacks to {size:,} bytes; expected at most {self._most:,}",
                hint="make the file smaller",
            )
        if size > self._free and size > MAX_RATIO * packed:
            raise self._refuse(
                f"{shown} unpacks from {packed:,} bytes to {size:,}; expected at most "
                f"{MAX_RATIO} times as much",
                hint="save images as PNG or JPEG, or pack the files as they are (zip -0)",
            )
        if info.compress_type == zipfile.ZIP_STORED and size != packed:
            raise self._refuse(
                f"{shown} is stored, with {packed:,} bytes for the {size:,} that it says"
            )

    def _check_places(self, infos: list[zipfile.ZipInfo]) -> None:
        """Refuse entries that share bytes: a small archive would unpack to anything."""
        end = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            name = short(info.orig_filename)
            if info.header_offset < end:
                raise self._refuse(f"{name!r} lies over another entry")
            end = info.header_offset + _LOCAL_HEADER + info.compress_size
            if info.header_offset < 0 or end > self._size:
                raise self._refuse(f"{name!r} lies outside of the archive; it is cut short")
