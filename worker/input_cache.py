"""Uploaded files that jobs of this machine have used, kept by their sha256 within a budget.

    <folder>/<sha256>            the content; when it was used last is its modification time
    <folder>/.<uuid>.tmp         on its way to such a name, or left by the dead

Several workers may share it: a name is given by one rename, and whoever uses a file has a hard link
of his own, so that nobody is hurt by its removal.
"""

import contextlib
import logging
import os
import re
import time
import uuid
from pathlib import Path
from typing import Final

from worker.workdir import link_or_copy

_LEFT_SECONDS: Final = 3600.0
_DIGEST: Final = re.compile("[0-9a-f]{64}")

log = logging.getLogger(__name__)


class InputCache:
    """The folder of such files on one machine."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        """Keep at most so much."""
        self._folder = folder
        self._budget_bytes = budget_bytes

    def lay(self, sha256: str, target: Path) -> bool:
        """Lay a file at `target`, if it is here; whoever takes it verifies it.

        Raises:
            OSError: the disk refuses.
        """
        kept = self._folder / sha256
        try:
            link_or_copy(kept, target)
            os.utime(kept)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def keep(self, sha256: str, source: Path) -> None:
        """Keep a file that was verified, others making room.

        A disk that refuses is no failure: the file is fetched again for the next job.
        """
        beside = self._folder / f".{uuid.uuid4().hex}.tmp"
        try:
            if source.stat().st_size > self._budget_bytes:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            link_or_copy(source, beside)
            os.utime(beside)
            beside.replace(self._folder / sha256)
            self._make_room()
        except OSError as error:
            log.warning("the input cache %s cannot be written: %s", self._folder, error)
        finally:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def drop(self, sha256: str) -> None:
        """Forget a file that was found damaged."""
        (self._folder / sha256).unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Remove what was not used for the longest time, and what the dead have left."""
        kept: list[tuple[float, int, Path]] = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                about = path.stat()
                if _DIGEST.fullmatch(path.name):
                    kept.append((about.st_mtime, about.st_size, path))
                elif path.suffix == ".tmp" and about.st_mtime < time.time() - _LEFT_SECONDS:
                    path.unlink()
        over = sum(size for _, size, _ in kept) - self._budget_bytes
        for _, size, path in sorted(kept):
            if over <= 0:
                return
            path.unlink(missing_ok=True)
            over -= size
