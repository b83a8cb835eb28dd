"""The uploaded files that a job names, laid where its trainer looks for them.

A trainer reads one inputs folder. That of a job with uploads is the attempt's own: the uploads,
`uploads/<sha256>/<name>`, beside links to what the operator's folder holds.
"""

import hashlib
import logging
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from jobs.artifacts import CHUNK_BYTES, ArtifactStore
from jobs.errors import ArtifactNotFound
from jobs.input_errors import InputDamaged, InputMissing
from jobs.inputs import Used
from jobs.leases import Claim
from jobs.references import FOLDER, path_of
from jobs.settings import Settings
from worker.input_cache import InputCache
from worker.patience import insist_on_store

_INPUTS: Final = "inputs"

log = logging.getLogger(__name__)


class InVain(Exception):  # noqa: N818 - it says what happened
    """Nobody wants the files any more."""


@contextmanager
def furnished(
    claim: Claim,
    workdir: Path,
    settings: Settings,
    store: ArtifactStore,
    in_vain: Callable[[], bool],
) -> Generator[Path]:
    """Give the folder of a job's inputs; what is the attempt's own of it is removed at the end.

    Raises:
        InputMissing: the store has lost a file, or it was deleted before a retry.
        InputDamaged: the store has other bytes than were uploaded.
        StoreUnavailable: the store stayed away.
        InVain: the attempt is to stop.
        OSError: the disk refuses.
    """
    own = workdir / _INPUTS
    shutil.rmtree(own, ignore_errors=True)  # an earlier attempt's, that died
    if not claim.inputs:
        yield settings.inputs
        return
    cache = InputCache(settings.input_cache, settings.input_cache_bytes)
    try:
        own.mkdir()
        for entry in settings.inputs.iterdir() if settings.inputs.is_dir() else ():
            if entry.name != FOLDER:
                (own / entry.name).symlink_to(entry.absolute())
        for used in claim.inputs:
            _lay(used, own / path_of(used.sha256, used.name), cache, store, in_vain)
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _lay(
    used: Used, target: Path, cache: InputCache, store: ArtifactStore, in_vain: Callable[[], bool]
) -> None:
    """Lay one file, from the cache if what is there is right, or else from the store."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if cache.lay(used.sha256, target):
        # Each time: a trainer has it under another name of the same file, and disks rot.
        if _sha256_of(target, in_vain) == used.sha256:
            return
        log.warning("%s was damaged in the input cache; it is fetched again", used.name)
        target.unlink()
        cache.drop(used.sha256)
    fetch = partial(_fetch, used, target, store, in_vain)
    if insist_on_store(fetch, in_vain=in_vain) != used.sha256:
        raise InputDamaged(used.name, used.sha256)
    cache.keep(used.sha256, target)


def _fetch(used: Used, target: Path, store: ArtifactStore, in_vain: Callable[[], bool]) -> str:
    """Copy a file out of the store, and return its sha256."""
    digest = hashlib.sha256()
    try:
        with store.open(used.location) as content, target.open("wb") as file:
            while block := content.read(CHUNK_BYTES):
                _go_on(in_vain)
                digest.update(block)
                file.write(block)
    except ArtifactNotFound:
        raise InputMissing(used.name, used.sha256) from None
    return digest.hexdigest()


def _sha256_of(path: Path, in_vain: Callable[[], bool]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            _go_on(in_vain)
            digest.update(block)
    return digest.hexdigest()


def _go_on(in_vain: Callable[[], bool]) -> None:
    if in_vain():
        raise InVain
