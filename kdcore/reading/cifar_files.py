"""The files of CIFAR's binary version: records of label bytes and 3072 bytes of pixels.

They are read out of a folder, or out of the archive as it is downloaded, in memory; nothing is
unpacked to the disk, and pickles (the Python version) are never opened.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from kdcore.dataset import Samples, Source
from kdcore.errors import DataError
from kdcore.lazy import torch

if TYPE_CHECKING:
    from typing import IO

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    Records = NDArray[np.uint8]  # (N, bytes of a record)

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
MAX_BYTES = 2**29
"""All files together; the originals take a third of it."""
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """How one of the data sets is stored."""

    title: str
    folder: str
    archive: str
    md5: str
    """Of the archive."""
    pickled: tuple[str, ...]
    """Folder and archive of the Python version."""
    train: tuple[str, ...]
    test: str
    labels: tuple[tuple[str, int], ...]
    """The label bytes of a record with the number of their classes; the last one is learnt."""
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """All files, in the order in which they are read."""
        return (*self.train, self.test)

    @property
    def record(self) -> int:
        """Bytes of a record."""
        return len(self.labels) + PIXELS

    @property
    def num_classes(self) -> int:
        """Classes of the label that is learnt."""
        return self.labels[-1][1]

    def refuse(self, message: str) -> DataError:
        """Return an error that tells where the files come from."""
        return DataError(
            message,
            hint=f"download {self.archive}, the binary version (md5 {self.md5}), from "
            "https://www.cs.toronto.edu/~kriz/cifar.html, and put it, or the folder "
            f"{self.folder} out of it, into the inputs folder",
        )


def read_cifar(layout: Layout, inputs: Path, path: str, *, normalize: bool) -> Source:
    """Read the files under `path`: their folder, the folder that holds it, or the archive.

    Raises:
        DataError: a file is missing, cut short, damaged or of another kind.
    """
    try:
        raw = _find(layout, inputs, PurePosixPath(path))
    except OSError as error:
        raise layout.refuse(f"{path}: cannot be read ({error.strerror or error})") from None
    mean, std = (torch.tensor(values)[:, None, None] for values in (layout.mean, layout.std))

    def samples(names: tuple[str, ...]) -> Samples:
        count = sum(len(raw[name]) for name in names)
        images, labels = torch.empty(count, *SHAPE), torch.empty(count, dtype=torch.int64)
        end = 0
        for name in names:
            records = raw.pop(name)  # the bytes go as soon as the numbers stand
            start, end = end, end + len(records)
            images.view(count, PIXELS).numpy()[start:end] = records[:, -PIXELS:]
            labels.numpy()[start:end] = records[:, -PIXELS - 1]
        images.div_(255)
        return Samples(images.sub_(mean).div_(std) if normalize else images, labels)

    black = ((0 - mean) / std).flatten() if normalize else torch.zeros(1)
    return Source(
        train=samples(layout.train),
        test=samples((layout.test,)),
        num_classes=layout.num_classes,
        black=tuple(cast("list[float]", black.tolist())),
    )


def _find(layout: Layout, inputs: Path, path: PurePosixPath) -> dict[str, Records]:
    if (inputs / path).is_file():
        return _from_archive(layout, inputs, path)
    for folder in (path, path / layout.folder):
        if any((inputs / folder / name).exists() for name in layout.files):
            return _from_folder(layout, inputs, folder)
    if (inputs / path / layout.archive).is_file():
        return _from_archive(layout, inputs, path / layout.archive)
    shown = "the inputs folder" if path == PurePosixPath() else str(path)
    if not (inputs / path).is_dir():
        raise layout.refuse(f"{shown}: no such file or folder; {layout.title} is expected there")
    found: list[str] = []
    for folder in (inputs / path, inputs / path / layout.folder):
        if folder.is_dir():
            found += sorted(entry.name for entry in folder.iterdir())
    raise _absent(layout, shown, layout.files, found)


def _absent(layout: Layout, shown: str, missing: Iterable[str], found: list[str]) -> DataError:
    """Return the error for files that are not there; pickles are called by their name."""
    pickles = {*layout.pickled, *(name.removesuffix(".bin") for name in layout.files)}
    # One name could be anything (CIFAR-100's are `train` and `test`); all of them are no accident.
    unpacked = pickles - set(layout.pickled) <= set(found)
    pickled = [name for name in found if name in (pickles if unpacked else layout.pickled)]
    if pickled:
        return layout.refuse(
            f"{shown}: found {_listed(pickled)}, the Python version of {layout.title}: pickles, "
            f"which are never opened; expected {_listed(missing)} of the binary version"
        )
    return layout.refuse(
        f"{shown}: no {_listed(missing)} of {layout.title}; found {_listed(found) or 'nothing'}"
    )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + " ..." * (len(names) > _SHOWN)


def _from_folder(layout: Layout, inputs: Path, folder: PurePosixPath) -> dict[str, Records]:
    raw: dict[str, Records] = {}
    left = MAX_BYTES
    for name in layout.files:
        file, shown = inputs / folder / name, str(folder / name)
        if not file.exists():
            raise layout.refuse(f"{shown}: no such file; expected {_listed(layout.files)}")
        if not file.is_file():
            found = "a folder" if file.is_dir() else "no plain file"
            raise layout.refuse(f"{shown} is {found}; expected a file of records")
        size = file.stat().st_size
        left -= size
        with file.open("rb") as stream:
            raw[name] = _records(layout, stream, size, left, shown)
    return raw


def _from_archive(layout: Layout, inputs: Path, path: PurePosixPath) -> dict[str, Records]:
    with (inputs / path).open("rb") as file:
        start = file.read(32)
        if not start.startswith(b"\x1f\x8b"):
            found = f"begins with {start!r}" if start else "is empty"
            raise layout.refuse(f"{path} {found}; expected the gzip file {layout.archive}")
        file.seek(0)
        try:
            with gzip.open(file) as packed, _Bounded(packed, layout, str(path)) as unpacked:
                raw, found = _from_members(layout, unpacked, str(path))
                while unpacked.read(2**20):  # the checksum stands at the very end
                    pass
        except (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise layout.refuse(f"{path} is damaged or cut short ({error})") from None
    if missing := [name for name in layout.files if name not in raw]:
        raise _absent(layout, str(path), missing, [PurePosixPath(name).name for name in found])
    return raw


def _from_members(
    layout: Layout, unpacked: BinaryIO | io.RawIOBase, path: str
) -> tuple[dict[str, Records], list[str]]:
    """Return the records by file, and the names of all members."""
    wanted = {name for file in layout.files for name in (file, f"{layout.folder}/{file}")}
    raw: dict[str, Records] = {}
    found: list[str] = []
    left = MAX_BYTES
    with tarfile.open(fileobj=unpacked, mode="r|", bufsize=2**20) as archive:
        for member in archive:
            found.append(member.name)
            place = PurePosixPath(member.name)
            if str(place) not in wanted:
                continue
            shown = f"{path}: {place}"
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is None:
                raise layout.refuse(f"{shown} is no plain file; expected a file of records")
            if place.name in raw:
                raise layout.refuse(f"{shown} stands there twice; expected once")
            left -= member.size
            raw[place.name] = _records(layout, stream, member.size, left, shown)
    return raw, found


class _Bounded(io.RawIOBase):
    """What is unpacked of an archive, up to the limit: a small file may hold endless zeros."""

    def __init__(self, stream: gzip.GzipFile, layout: Layout, shown: str) -> None:
        self._stream, self._layout, self._shown = stream, layout, shown
        self._left = MAX_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        count = self._stream.readinto(buffer)
        self._left -= count
        _check_limit(self._layout, self._left, self._shown)
        return count


def _check_limit(layout: Layout, left: int, shown: str) -> None:
    if left < 0:
        raise layout.refuse(
            f"{shown}: found more than {MAX_BYTES} bytes; {layout.title} is a third of that"
        )


def _records(layout: Layout, stream: IO[bytes], size: int, left: int, shown: str) -> Records:
    """Read `size` bytes as whole records `(N, record)` with labels in their ranges."""
    import numpy as np

    _check_limit(layout, left, shown)
    whole, rest = divmod(size, layout.record)
    if not size:
        raise layout.refuse(f"{shown} is empty; expected records of {layout.record} bytes")
    if rest:
        raise layout.refuse(
            f"{shown} has {size} bytes: {whole} records of {layout.record} bytes and {rest} of "
            f"record {whole} (counted from 0); expected whole records, so it is cut short or of "
            "another kind"
        )
    content = stream.read(size)
    if len(content) != size:
        raise layout.refuse(
            f"{shown} ended in record {len(content) // layout.record} (counted from 0) of {whole} "
            "while it was read"
        )
    records = np.frombuffer(content, np.uint8).reshape(whole, layout.record)
    for place, (kind, classes) in enumerate(layout.labels):
        wrong = np.flatnonzero(records[:, place] >= classes)
        if len(wrong):
            raise layout.refuse(
                f"{shown}: record {wrong[0]} (counted from 0) has the {kind} "
                f"{records[wrong[0], place]}; expected 0 to {classes - 1} "
                f"({len(wrong)} of {whole} records are wrong so)"
            )
    return records
