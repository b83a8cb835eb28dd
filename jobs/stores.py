"""Which artifact store the settings name."""

import logging
from pathlib import Path

from jobs.artifacts import ArtifactStore
from jobs.errors import StoreMisconfigured, StoreUnavailable
from jobs.folder_store import FolderStore
from jobs.s3_bucket import Bucket
from jobs.s3_store import S3Store
from jobs.settings import Settings

log = logging.getLogger(__name__)


def open_store(settings: Settings) -> ArtifactStore:
    """Return the artifact store; nothing is asked of it yet.

    Raises:
        StoreMisconfigured: the settings make no sense.
    """
    if isinstance(settings.artifacts, Path):
        return FolderStore(settings.artifacts)
    return S3Store(Bucket.of(settings))


def prepare_store(store: ArtifactStore) -> None:
    """See at start that content can be kept; a store that is only away now is told in the log.

    Raises:
        StoreMisconfigured: it never could, until somebody changes something.
    """
    try:
        store.prepare()
    except StoreMisconfigured:
        raise
    except StoreUnavailable as error:
        log.warning("%s; jobs are taken all the same, and their files wait", error)
