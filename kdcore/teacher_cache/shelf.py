"""The folder of all teacher caches: found by content, locked, pinned, and kept within a budget.

    <root>/<key>/about.json          whose answers, about which data
    <root>/<key>/<sheet>/            one table of answers: shards, their digests, a manifest
    <root>/<key>/{pinned,used,reserved}  stays; when it was read; bytes of whoever writes
    <root>/locks/<key>.build .use    who writes, who reads; they go with their process

It needs no torch, so that whoever lists or removes caches need not have it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from kdcore.errors import KdcoreError
from kdcore.files import disk_full_is_named, write_file
from kdcore.teacher_cache.about import KEY_DIGITS, About, Listed, Manifest

DEFAULT_BUDGET = 20 * 2**30
MANIFEST = "manifest.json"
_ABOUT, _PINNED, _USED, _RESERVED = "about.json", "pinned", "used", "reserved"
_GONE = "gone"
_KEY = re.compile(rf"[0-9a-f]{{{KEY_DIGITS}}}")


class CacheBusyError(KdcoreError):
    """A cache cannot be removed: it is pinned, or somebody reads it."""

    code = "teacher_cache_busy"
    way_out = "unpin it, or wait until no job reads it"


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
        if not (self.folder / _ABOUT).exists():
            write_file(self.folder / _ABOUT, about.model_dump_json(indent=1).encode())

    def touch(self) -> None:
        """Note that it was used now; the oldest unused cache goes first."""
        with contextlib.suppress(OSError):
            (self.folder / _USED).touch()

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

    def using(self) -> contextlib.AbstractContextManager[bool]:
        """Keep it from being removed while it is read."""
        return locked(self.root, f"{self.key}.use", fcntl.LOCK_SH)

    def building(self) -> contextlib.AbstractContextManager[bool]:
        """Be the one who adds sheets; gives False where somebody else is."""
        return locked(self.root, f"{self.key}.build", fcntl.LOCK_EX | fcntl.LOCK_NB)

    def size(self) -> int:
        """Return the bytes on the disk, or those that are set aside where these are more."""
        return max(self._bytes(), self._reserved())

    def _bytes(self) -> int:
        return sum(map(_bytes_of, _files(self.folder)))

    def _reserved(self) -> int:
        """Return the bytes that somebody who is at work has set aside."""
        with self.building() as nobody:
            if nobody:
                return 0
        try:
            return int((self.folder / _RESERVED).read_text())
        except (OSError, ValueError):
            return 0

    def reserve(self, size: int) -> None:
        """Set bytes aside before they are written; 0 when all is written."""
        if size:
            write_file(self.folder / _RESERVED, str(size).encode())
        else:
            (self.folder / _RESERVED).unlink(missing_ok=True)

    def used_at(self) -> float:
        """Return when it was last used, in seconds since the epoch."""
        for name in (_USED, _ABOUT):
            with contextlib.suppress(OSError):
                return (self.folder / name).stat().st_mtime
        return 0.0

    def listed(self) -> Listed | None:
        """Return what it is; None where it is no cache, or just goes."""
        try:
            about = About.model_validate_json((self.folder / _ABOUT).read_bytes())
            created = (self.folder / _ABOUT).stat().st_mtime
        except (OSError, ValidationError):
            return None
        in_use = not self.is_free()
        manifests = [_read_manifest(path) for path in sorted(self.folder.glob(f"*/{MANIFEST}"))]
        known = [manifest for manifest in manifests if manifest]
        return Listed(
            key=self.key,
            about=about,
            bytes=self._bytes(),
            seconds=sum(manifest.seconds for manifest in known),
            sheets=[manifest.sheet for manifest in known],
            created_at=datetime.fromtimestamp(created, UTC),
            used_at=datetime.fromtimestamp(self.used_at(), UTC),
            pinned=self.pinned,
            in_use=in_use,
        )

    def is_free(self) -> bool:
        """Return whether nobody reads it at this moment."""
        with locked(self.root, f"{self.key}.use", fcntl.LOCK_EX | fcntl.LOCK_NB) as free:
            return free


@dataclass(frozen=True, slots=True)
class Shelf:
    """All caches of one folder."""

    root: Path
    budget_bytes: int = DEFAULT_BUDGET
    """More than this is not kept; the oldest unused caches make room."""

    def cache(self, key: str) -> Cache:
        """Return a cache by its key, whether it is there or not."""
        return Cache(self.root, key)

    def caches(self) -> Iterator[Cache]:
        """Return all caches."""
        for about in sorted(self.root.glob(f"*/{_ABOUT}")):
            if _KEY.fullmatch(about.parent.name):
                yield Cache(self.root, about.parent.name)

    def listed(self) -> list[Listed]:
        """Return what stands on the shelf, the last used first."""
        found = [listed for cache in self.caches() if (listed := cache.listed())]
        return sorted(found, key=lambda listed: listed.used_at, reverse=True)

    def make_room(self, cache: Cache, size: int) -> bool:
        """Set `size` bytes aside for a cache, others making room; False where there is none."""
        with locked(self.root, "shelf", fcntl.LOCK_EX):
            shutil.rmtree(self.root / _GONE, ignore_errors=True)  # what a killed removal left
            sizes = {other: other.size() for other in self.caches() if other.key != cache.key}
            needed = cache.size() + size
            free = self.budget_bytes - needed - sum(sizes.values())
            idle = [other for other in sizes if not other.pinned and other.is_free()]
            if free + sum(sizes[other] for other in idle) < 0:
                return False  # nothing is removed where that would not suffice
            for other in sorted(idle, key=Cache.used_at):
                if free >= 0:
                    break
                with contextlib.suppress(CacheBusyError):
                    self.remove(other.key)
                    free += sizes[other]
            if free < 0:
                return False
            cache.reserve(needed)
            return True

    def remove(self, key: str) -> None:
        """Remove a cache; nothing happens where it is not there.

        Raises:
            CacheBusyError: it is pinned, or in use.
        """
        cache = self.cache(key)
        with locked(self.root, f"{key}.use", fcntl.LOCK_EX | fcntl.LOCK_NB) as unused:
            if cache.pinned:
                raise CacheBusyError(f"teacher cache {key} is pinned")
            if not unused:
                raise CacheBusyError(f"teacher cache {key} is in use")
            if cache.folder.exists():
                # Elsewhere first: nobody finds half of it.
                gone = self.root / _GONE / uuid.uuid4().hex
                gone.parent.mkdir(exist_ok=True)
                cache.folder.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)


@contextlib.contextmanager
def locked(root: Path, name: str, how: int) -> Generator[bool]:
    """Hold a lock that goes with the process; gives False where it would have to wait and may not.

    The file stays when the cache goes: who waits for it must not wait for a name that is gone.
    """
    with disk_full_is_named():
        (root / "locks").mkdir(parents=True, exist_ok=True)
        file = (root / "locks" / name).open("a")
    with file:
        try:
            fcntl.flock(file, how)
        except BlockingIOError:
            yield False
        else:
            yield True


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
