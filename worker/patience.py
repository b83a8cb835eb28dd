"""Asking again what may be away for a while: the database, and the artifact store."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from jobs.database import UNREACHABLE, Database
from jobs.errors import StoreUnavailable
from jobs.repository import Repository

PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 1.0

T = TypeVar("T")
log = logging.getLogger(__name__)


def insist(
    database: Database,
    write: Callable[[Repository], T],
    *,
    in_vain: Callable[[], bool] = lambda: False,
) -> T:
    """Write in one transaction, again and again while the database is away, for ten minutes.

    The write must mean the same when it is done twice, since an answer may be lost; it is given up
    early where it has become vain.
    """

    def once() -> T:
        with database.write() as session:
            return write(Repository(session))

    return _again(once, UNREACHABLE, "the database is away", in_vain)


def insist_on_store(put: Callable[[], T], *, in_vain: Callable[[], bool]) -> T:
    """Put into the artifact store, again and again while it is away, for ten minutes.

    Raises:
        StoreUnavailable: it stayed away, or putting has become vain.
    """
    return _again(put, (StoreUnavailable,), "the artifact store is away", in_vain)


def _again(
    do: Callable[[], T],
    away: tuple[type[Exception], ...],
    what: str,
    in_vain: Callable[[], bool],
) -> T:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return do()
        except away as error:
            if time.monotonic() > deadline or in_vain():
                raise
            said = error if isinstance(error, StoreUnavailable) else type(error).__name__
            log.warning("%s (%s); trying again", what, said)
            time.sleep(PAUSE_SECONDS)
