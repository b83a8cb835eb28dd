"""Files by their digest, read for as long as somebody wants them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from jobs.artifacts import CHUNK_BYTES


class InVain(Exception):  # noqa: N818 - it says what happened
    """Nobody wants the files any more."""


def go_on(in_vain: Callable[[], bool]) -> None:
    """Stop where nobody wants the files any more.

    Raises:
        InVain: nobody does.
    """
    if in_vain():
        raise InVain


def sha256_of(path: Path, in_vain: Callable[[], bool]) -> str:
    """Return the sha256 of a file; raises what `go_on` raises."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            go_on(in_vain)
            digest.update(block)
    return digest.hexdigest()
