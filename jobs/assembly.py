"""Parts that have arrived, put together to the file that they are parts of."""

import hashlib
from collections.abc import Sequence

from jobs.artifacts import CHUNK_BYTES, ArtifactStore
from jobs.errors import ArtifactNotFound
from jobs.input_tables import UploadPart
from jobs.receiving import Received, Reception


class PartDamaged(Exception):  # noqa: N818 - it says what happened
    """What the store has of a part is gone, or is not what had arrived."""

    def __init__(self, number: int) -> None:
        """Name the part."""
        super().__init__(number)
        self.number = number


def assemble(
    store: ArtifactStore, reception: Reception, parts: Sequence[UploadPart], media_type: str
) -> Received:
    """Put parts together in their order; what fails leaves nothing but the parts.

    Raises:
        PartDamaged: a part must come again.
        ContentRefused: the whole is not what was announced, or not what its name says.
        StoreFull: there is no room.
        StoreUnavailable: the store went away.
    """
    try:
        for part in parts:
            _append(store, reception, part)
        return reception.finish(media_type)
    except BaseException:
        reception.abandon()
        raise


def _append(store: ArtifactStore, reception: Reception, part: UploadPart) -> None:
    digest = hashlib.sha256()
    try:
        with store.open(part.location) as content:
            while block := content.read(CHUNK_BYTES):
                digest.update(block)
                reception.write(block)
    except ArtifactNotFound:
        raise PartDamaged(part.number) from None
    if digest.hexdigest() != part.sha256:
        raise PartDamaged(part.number)
