"""A file on its way in from a client: counted, hashed and looked at, kept whole or not at all."""

import hashlib
from dataclasses import dataclass

from jobs.artifacts import ArtifactStore, Delivery
from jobs.formats import HEAD_BYTES, Format, check_head
from jobs.input_errors import ContentRefused, TooLarge


@dataclass(frozen=True, slots=True)
class Announced:
    """What a client said of the content before it came."""

    size_bytes: int | None = None
    sha256: str | None = None

    def require_size(self, found: int | None) -> None:
        """Refuse another number of bytes than was announced, as far as both are known.

        Raises:
            ContentRefused: it is another.
        """
        if self.size_bytes is not None and found not in {None, self.size_bytes}:
            raise ContentRefused(
                f"found {found:,} bytes; expected {self.size_bytes:,}", code="size_mismatch"
            )


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the store a file will lie: `<owner>/<number>/<name>`."""

    owner: str
    name: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Received:
    """A file that lies in the store, whole."""

    size_bytes: int
    sha256: str
    location: str


class Reception:
    """Takes in one file; whoever began it finishes or abandons it."""

    def __init__(
        self,
        store: ArtifactStore,
        place: Place,
        *,
        most_bytes: int,
        announced: Announced,
        claimed: Format | None = None,
    ) -> None:
        """Begin in the store; what claims no format is a part of something.

        Raises:
            StoreFull: there is no room.
            StoreUnavailable: the store is away.
        """
        self._claimed = claimed
        self._name = place.name
        self._most_bytes = most_bytes
        self._announced = announced
        self._digest = hashlib.sha256()
        self._size = 0
        self._head = b""
        self._is_looked_at = False
        self._inlet = store.receive(place.owner, place.number, place.name)

    def write(self, block: bytes) -> None:
        """Take the next bytes.

        Raises:
            TooLarge: there are more than may be.
            ContentRefused: it is not what its name says.
            StoreFull: there is no room.
            StoreUnavailable: the store went away.
        """
        self._size += len(block)
        if self._announced.size_bytes is not None and self._size > self._announced.size_bytes:
            self._announced.require_size(self._size)
        if self._size > self._most_bytes:
            raise TooLarge(
                f"found more than {self._most_bytes:,} bytes; expected no more",
                hint="have STILLHOUSE_UPLOAD_BYTES raised, or bring less",
            )
        if len(self._head) < HEAD_BYTES:
            self._head += block[: HEAD_BYTES - len(self._head)]
        if not self._is_looked_at and len(self._head) == HEAD_BYTES:
            self._look()
        self._digest.update(block)
        self._inlet.write(block)

    def finish(self, media_type: str = "application/octet-stream") -> Received:
        """Keep the file, if it is what was announced.

        Raises:
            ContentRefused: it is not, or it was cut short.
            StoreFull: there is no room.
            StoreUnavailable: the store went away.
        """
        if not self._is_looked_at:
            self._look()
        self._announced.require_size(self._size)
        sha256 = self._digest.hexdigest()
        if self._announced.sha256 not in {None, sha256}:
            raise ContentRefused(
                f"found sha256 {sha256}; expected {self._announced.sha256}, as announced",
                code="digest_mismatch",
                hint="it was changed on its way, or another file was hashed; send it again",
            )
        delivery = Delivery(self._name, "input", self._size, sha256, media_type)
        return Received(self._size, sha256, self._inlet.finish(delivery))

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._inlet.abandon()

    def _look(self) -> None:
        self._is_looked_at = True
        if self._claimed:
            check_head(self._claimed, self._head)
