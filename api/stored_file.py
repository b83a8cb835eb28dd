"""A file of the artifact store on its way out: held against its digest before its end is sent."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.problems import Problem
from jobs.artifacts import ArtifactStore, Content

CHUNK_BYTES: Final = 1 << 18
_AGAIN: Final = "bring it again: post the job's spec once more, or upload the file"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the artifact store, with what the ledger knows of it."""

    name: str
    size_bytes: int
    sha256: str
    media_type: str
    created_at: datetime
    store: ArtifactStore
    location: str

    @property
    def etag(self) -> str:
        """The strong validator of the content."""
        return f'"{self.sha256}"'

    def check(self) -> None:
        """See that the content is there, without reading it.

        Raises:
            ArtifactNotFound: it is gone.
            Problem: 410, it is not as long as it was when it was stored.
            StoreUnavailable: the store does not answer.
        """
        self._check_size(self.store.size(self.location))

    def open(self, first: int = 0, end: int | None = None) -> Content:
        """Open the content, or its bytes from `first` up to `end`; raises what `check` raises."""
        content = self.store.open(self.location, first, end)
        try:
            self._check_size(content.size_bytes)
        except Problem:
            content.close()
            raise
        return content

    def link(self, seconds: int) -> str | None:
        """Return a URL of the content that is valid so long; None where it has none of its own.

        Raises what `check` raises.
        """
        link = self.store.link(self.location, self.name, seconds)
        if link is not None:
            self.check()
        return link

    def read(self) -> bytes:
        """Return the whole content, verified; raises what `open` and `verified` raise."""
        with self.open() as content:
            return b"".join(self.verified(content))

    def verified(self, content: Content) -> Iterator[bytes]:
        """Yield the whole content; its last piece comes only if all of it has the right digest.

        Raises:
            Problem: 410, what the store keeps is not what was put there.
            StoreUnavailable: the store went away meanwhile.
        """
        digest = hashlib.sha256()
        held = b""
        while piece := content.read(CHUNK_BYTES):
            if held:
                yield held
            digest.update(piece)
            held = piece
        if digest.hexdigest() != self.sha256:
            log.error(
                "%s is damaged in the artifact store: found sha256 %s, expected %s",
                self.location,
                digest.hexdigest(),
                self.sha256,
            )
            raise Problem(
                410,
                "artifact_damaged",
                f"artifact {self.name!r} was stored with sha256 {self.sha256};"
                f" found {digest.hexdigest()} in the store",
                hint=_AGAIN,
            )
        yield held

    def _check_size(self, found: int) -> None:
        if found != self.size_bytes:
            raise Problem(
                410,
                "artifact_gone",
                f"artifact {self.name!r} was stored with {self.size_bytes} bytes;"
                f" found {found} in the store",
                hint=_AGAIN,
            )
