"""The files that a job names, uploaded or of an earlier job, laid where its trainer looks for them.

A trainer reads one inputs folder. That of a job with such files is the attempt's own: they lie in
`uploads`, beside links to what the operator's folder holds.
"""

import hashlib
import logging
import shutil
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from jobs.artifacts import CHUNK_BYTES, ArtifactStore
from jobs.errors import ArtifactNotFound
from jobs.hub import LOCATION
from jobs.input_errors import InputDamaged, InputMissing
from jobs.inputs import Used
from jobs.references import FOLDER
from jobs.settings import Settings
from worker.hub import lay_from_hub
from worker.input_cache import InputCache
from worker.patience import insist_on_store
from worker.unpacking import unpack_data, unpack_model
from worker.verifying import go_on, sha256_of

_INPUTS: Final = "inputs"

log = logging.getLogger(__name__)


@contextmanager
def furnished(
    inputs: Sequence[Used],
    workdir: Path,
    settings: Settings,
    store: ArtifactStore,
    in_vain: Callable[[], bool],
) -> Generator[Path]:
    """Give the folder with a job's `inputs`; what is the attempt's own of it is removed at the end.

    Raises:
        InputMissing: the store has lost a file, or it was deleted before a retry.
        InputDamaged: the store has other bytes than were uploaded.
        DataError: what is to be unpacked is no zip of a folder.
        HubRefused: the hub has no such file; HubUnreachable where it does not answer.
        StoreUnavailable: the store stayed away.
        InVain: the attempt is to stop.
        OSError: the disk refuses.
    """
    own = workdir / _INPUTS
    shutil.rmtree(own, ignore_errors=True)  # an earlier attempt's, that died
    if not inputs:
        yield settings.inputs
        return
    cache = InputCache(settings.input_cache, settings.input_cache_bytes)
    try:
        own.mkdir()
        for entry in settings.inputs.iterdir() if settings.inputs.is_dir() else ():
            if entry.name != FOLDER:
                (own / entry.name).symlink_to(entry.absolute())
        for used in inputs:
            target = own / used.path
            if used.location.startswith(LOCATION):
                lay_from_hub(used, target, cache, settings, in_vain)
                continue
            if not used.name.lower().endswith(".zip"):
                _lay(used, target, cache, store, in_vain)
                continue
            packed = target.with_name(f".{target.name}")
            _lay(used, packed, cache, store, in_vain)
            asking = partial(go_on, in_vain)
            if used.is_folder:
                unpack_model(packed, target, used.name, asking)
            elif not unpack_data(packed, target, used.name, asking):
                packed.rename(target)
            packed.unlink(missing_ok=True)
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _lay(
    used: Used, target: Path, cache: InputCache, store: ArtifactStore, in_vain: Callable[[], bool]
) -> None:
    """Lay one file, from the cache if what is there is right, or else from the store."""
    if not used.location:
        raise InputMissing(used.path, used.sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    if cache.lay(used.sha256, target):
        # Each time: a trainer has it under another name of the same file, and disks rot.
        if sha256_of(target, in_vain) == used.sha256:
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
                go_on(in_vain)
                digest.update(block)
                file.write(block)
    except ArtifactNotFound:
        raise InputMissing(used.name, used.sha256) from None
    return digest.hexdigest()
