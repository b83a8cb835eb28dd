"""The files of a folder, or of a zip archive in its place: names, sizes, contents, and no more."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, Self

from kdcore.errors import DataError
from kdcore.reading.names import is_left_out
from kdcore.reading.zip_files import ZipTree

MAX_FILES: Final = 5_000_000
MAX_FILE_BYTES: Final = 2**28


class Tree(Protocol):
    """Files by names with `/` between folders; use it as a context."""

    def __enter__(self) -> Self:
        """Return the tree."""
        ...

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        ...

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file, in order of the names; the file system's own are left out."""
        ...

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        ...


class FolderTree:
    """The plain files in a folder and below."""

    def __init__(self, folder: Path, inputs: Path, shown: str) -> None:
        """List the files of `folder`, which people call `shown`; links stay inside `inputs`."""
        self._folder, self._shown = folder, shown
        roots = inputs.resolve(), folder.resolve()
        found: dict[str, int] = {}
        try:
            for place, folders, files in os.walk(folder, onerror=_raise):
                here = Path(place)
                for name in [*files, *(one for one in folders if (here / one).is_symlink())]:
                    path = here / name
                    inside = path.relative_to(folder).as_posix()
                    if not is_left_out(inside):
                        found[inside] = self._size(path, inside, roots)
                        if len(found) > MAX_FILES:
                            raise DataError(f"{shown}: found more than {MAX_FILES:,} files")
        except OSError as error:
            raise DataError(f"{shown}: cannot be read ({error.strerror or error})") from None
        self._sizes = dict(sorted(found.items()))

    def __enter__(self) -> Self:
        """Return the tree."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file."""
        return self._sizes

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            DataError: it cannot be read, or has grown beyond what one file may be.
        """
        try:
            with (self._folder / name).open("rb") as stream:
                content = stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise DataError(
                f"{self._shown}: {name!r} cannot be read ({error.strerror or error})"
            ) from None
        if len(content) > MAX_FILE_BYTES:
            raise DataError(
                f"{self._shown}: {name!r} has more than {MAX_FILE_BYTES:,} bytes, the most that "
                "one file may have"
            )
        return content

    def _size(self, path: Path, inside: str, roots: tuple[Path, ...]) -> int:
        try:
            inside.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{self._shown}: the name {inside!r} is not written in UTF-8",
                hint="give the file a plain name",
            ) from None
        if path.is_symlink() and not any(map(path.resolve().is_relative_to, roots)):
            raise DataError(
                f"{self._shown}: {inside!r} is a link that leads out of the inputs folder",
                hint="copy what it leads to into the inputs folder",
            )
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            kind = "a link to a folder" if path.is_dir() else "no plain file"
            raise DataError(
                f"{self._shown}: {inside!r} is {kind}; expected files and folders",
                hint="take it out of the folder, or copy what it leads to",
            )
        return about.st_size


def open_tree(inputs: Path, path: str) -> Tree:
    """Open a folder or a zip archive under the folder `inputs`.

    Raises:
        DataError: there is none, or it is not as it should be.
    """
    place = inputs / path
    try:
        if place.is_dir():
            return FolderTree(place, inputs, path)
        if place.is_file():
            return ZipTree(place, path)
        found = "is neither" if place.exists() else "no such file or folder"
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    raise DataError(
        f"{path}: {found}; expected a folder or a zip archive in the inputs folder",
        hint="put it into the inputs folder",
    )


def _raise(error: OSError) -> None:
    raise error
