"""The folder of all teacher caches: found by content, locked, pinned, and kept within a budget.

    <root>/<key>/about.json          whose answers, about which data
    <root>/<key>/<sheet>/            one table of answers: shards, their digests, a manifest
    <root>/<key>/{pinned,used}       stays; when it was read
    <root>/locks/<key>.use           who reads or writes
    <root>/locks/<key>.<one>.room    sheets that somebody writes; locked, or left by the dead
    <root>/locks/shelf               who makes room

It needs no torch, so that whoever lists or removes caches need not have it.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kdcore.errors import KdcoreError
from kdcore.teacher_cache.about import KEY_DIGITS, Listed
from kdcore.teacher_cache.cache import ABOUT, Cache
from kdcore.teacher_cache.locks import Lock, locked

DEFAULT_BUDGET = 20 * 2**30
_GONE = "gone"
_KEY = re.compile(rf"[0-9a-f]{{{KEY_DIGITS}}}")


class CacheBusyError(KdcoreError):
    """A cache cannot be removed: it is pinned, or somebody reads it."""

    code = "teacher_cache_busy"
    way_out = "unpin it, or wait until no job reads it"


@dataclass(frozen=True, slots=True)
class _Stale:
    """What may make way."""

    used_at: float
    size: int
    remove: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Shelf:
    """All caches of one folder."""

    root: Path
    budget_bytes: int = DEFAULT_BUDGET
    """More than this is not kept; what was not used for longest makes room."""

    def cache(self, key: str) -> Cache:
        """Return a cache by its key, whether it is there or not."""
        return Cache(self.root, key)

    def caches(self) -> Iterator[Cache]:
        """Return all caches."""
        for about in sorted(self.root.glob(f"*/{ABOUT}")):
            if _KEY.fullmatch(about.parent.name):
                yield Cache(self.root, about.parent.name)

    def listed(self) -> list[Listed]:
        """Return what stands on the shelf, the last used first."""
        found = [listed for cache in self.caches() if (listed := cache.listed())]
        return sorted(found, key=lambda listed: listed.used_at, reverse=True)

    @contextlib.contextmanager
    def room(
        self,
        cache: Cache,
        sheets: Mapping[str, int],
        *,
        use: Lock | None = None,
        keep: Collection[str] = (),
    ) -> Generator[frozenset[str] | None]:
        """Set the bytes of sheets aside while the caller writes them, others making room.

        Gives the sheets that the caller is to write: those that nobody else is at work on, so none
        where others write them all. Gives None where there is no room. With the lock by which the
        caller uses the cache its other sheets make room as well, but those to `keep`.
        """
        with ExitStack() as held:
            with locked(self.root, "shelf", fcntl.LOCK_EX):
                promised = cache.promised()
                mine = {name: size for name, size in sheets.items() if name not in promised}
                fits = not mine or self._make_room(cache, mine, use, {*keep, *sheets, *promised})
                if mine and fits:
                    held.enter_context(cache.promising(mine))
            yield frozenset(mine) if fits else None

    def _make_room(
        self, cache: Cache, sheets: Mapping[str, int], use: Lock | None, keep: Collection[str]
    ) -> bool:
        """Return whether sheets fit, once what was not used for longest is gone."""
        shutil.rmtree(self.root / _GONE, ignore_errors=True)  # what a killed removal left
        others = {other: other.size() for other in self.caches() if other.key != cache.key}
        free = self.budget_bytes - cache.size() - cache.to_come(sheets) - sum(others.values())
        if free >= 0:
            return True
        stale = [
            _Stale(other.used_at(), size, partial(self._remove, other))
            for other, size in others.items()
            if not other.pinned and other.is_free()
        ]
        with ExitStack() as held:
            ours = use is not None and not cache.pinned and held.enter_context(use.alone())
            stale += [
                _Stale(
                    cache.used_at(sheet),
                    cache.bytes(sheet),
                    partial(self._discard, cache.folder / sheet),
                )
                for sheet in (cache.sheets() if ours else ())
                if sheet not in keep
            ]
            if free + sum(one.size for one in stale) < 0:
                return False  # nothing is removed where that would not suffice
            for one in sorted(stale, key=lambda one: one.used_at):
                if free >= 0:
                    break
                with contextlib.suppress(CacheBusyError):
                    one.remove()
                    free += one.size
        return free >= 0

    def remove(self, key: str) -> None:
        """Remove a cache; nothing happens where it is not there.

        Raises:
            CacheBusyError: it is pinned, or in use.
        """
        with locked(self.root, "shelf", fcntl.LOCK_EX):
            self._remove(self.cache(key))

    def _remove(self, cache: Cache) -> None:
        with locked(self.root, f"{cache.key}.use", fcntl.LOCK_EX | fcntl.LOCK_NB) as unused:
            if cache.pinned:
                raise CacheBusyError(f"teacher cache {cache.key} is pinned")
            if unused is None:
                raise CacheBusyError(f"teacher cache {cache.key} is in use")
            if cache.folder.exists():
                self._discard(cache.folder)

    def _discard(self, folder: Path) -> None:
        """Remove a folder, elsewhere first: nobody finds half of it."""
        gone = self.root / _GONE / uuid.uuid4().hex
        gone.parent.mkdir(exist_ok=True)
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
