"""One cache: the folder of all that one teacher said of one data set."""

from __future__ import annotations

import contextlib
import fcntl
import os
import uuid
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from kdcore.files import write_file
from kdcore.teacher_cache import locks
from kdcore.teacher_cache.about import About, Listed, Manifest
from kdcore.teacher_cache.locks import Lock, locked

MANIFEST = "manifest.json"
ABOUT = "about.json"
_PINNED, _USED = "pinned", "used"
_PROMISE = TypeAdapter(dict[str, int])


@dataclass(frozen=True, slots=True)
class Cache:
    """One folder of the shelf: all that one teacher said of one data set."""

    root: Path
    key: str

    @property
    def folder(self) -> Path:
        """Where its sheets are."""
        return self.root / self.key

    def write_about(self, about: About) -> None:
        """Say whose it is."""
        if not (self.folder / ABOUT).exists():
            write_file(self.folder / ABOUT, about.model_dump_json(indent=1).encode())

    def touch(self, sheets: Collection[str] = ()) -> None:
        """Note that it was used now, and which sheets; what was not used for longest goes first."""
        with contextlib.suppress(OSError):
            (self.folder / _USED).touch()
        for sheet in sheets:
            with contextlib.suppress(OSError):
                os.utime(self.folder / sheet / MANIFEST)

    @property
    def pinned(self) -> bool:
        """Whether it stays, whatever the budget."""
        return (self.folder / _PINNED).exists()

    def pin(self, *, pinned: bool) -> None:
        """Keep it for good, or no longer."""
        if pinned:
            write_file(self.folder / _PINNED, b"")
        else:
            (self.folder / _PINNED).unlink(missing_ok=True)

    def manifest(self, sheet: str) -> Manifest | None:
        """Return what is known of a finished sheet."""
        return _read_manifest(self.folder / sheet / MANIFEST)

    def using(self) -> contextlib.AbstractContextManager[Lock | None]:
        """Keep it from being removed while it is read or written."""
        return locked(self.root, f"{self.key}.use", fcntl.LOCK_SH)

    def is_free(self) -> bool:
        """Return whether nobody reads or writes it at this moment."""
        with locked(self.root, f"{self.key}.use", fcntl.LOCK_EX | fcntl.LOCK_NB) as free:
            return free is not None

    @contextlib.contextmanager
    def promising(self, sheets: Mapping[str, int]) -> Generator[None]:
        """Be the one who writes sheets of so many bytes, until this is left or the process ends."""
        name = f"{self.key}.{uuid.uuid4().hex}.room"
        with locked(self.root, name, fcntl.LOCK_EX) as lock:
            assert lock is not None  # noqa: S101  # it waits
            lock.write(_PROMISE.dump_json(dict(sheets)).decode())
            yield

    def promised(self) -> dict[str, int]:
        """Return the sheets that somebody is at work on, with their bytes when they are whole."""
        found: dict[str, int] = {}
        for room in self.root.joinpath(locks.FOLDER).glob(f"{self.key}.*.room"):
            with locked(self.root, room.name, fcntl.LOCK_EX | fcntl.LOCK_NB) as left:
                if left is None:
                    with contextlib.suppress(OSError, ValidationError):
                        found |= _PROMISE.validate_json(room.read_bytes())
        return found

    def size(self) -> int:
        """Return the bytes on the disk, and those that are promised and not written yet."""
        return self.bytes() + self.to_come(self.promised())

    def to_come(self, sheets: Mapping[str, int]) -> int:
        """Return the bytes of sheets that are not on the disk yet."""
        return sum(max(size - self.bytes(sheet), 0) for sheet, size in sheets.items())

    def bytes(self, sheet: str = "") -> int:
        """Return the bytes on the disk, of all or of one sheet."""
        return sum(map(_bytes_of, _files(self.folder / sheet)))

    def sheets(self) -> list[str]:
        """Return the names of all sheets, finished or not."""
        with contextlib.suppress(OSError):
            return sorted(path.name for path in self.folder.iterdir() if path.is_dir())
        return []

    def used_at(self, sheet: str = "") -> float:
        """Return when it, or a sheet of it, was last used, in seconds since the epoch."""
        for name in (MANIFEST, "") if sheet else (_USED, ABOUT):
            with contextlib.suppress(OSError):
                return (self.folder / sheet / name).stat().st_mtime
        return 0.0

    def listed(self) -> Listed | None:
        """Return what it is; None where it is no cache, or just goes."""
        try:
            about = About.model_validate_json((self.folder / ABOUT).read_bytes())
            created = (self.folder / ABOUT).stat().st_mtime
        except (OSError, ValidationError):
            return None
        in_use = not self.is_free()
        manifests = [self.manifest(sheet) for sheet in self.sheets()]
        known = [manifest for manifest in manifests if manifest]
        return Listed(
            key=self.key,
            about=about,
            bytes=self.bytes(),
            seconds=sum(manifest.seconds for manifest in known),
            sheets=[manifest.sheet for manifest in known],
            created_at=datetime.fromtimestamp(created, UTC),
            used_at=datetime.fromtimestamp(self.used_at(), UTC),
            pinned=self.pinned,
            in_use=in_use,
        )


def _read_manifest(path: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _bytes_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # it has just gone
        return 0


def _files(folder: Path) -> Iterator[Path]:
    return (Path(where, name) for where, _, names in os.walk(folder) for name in names)
