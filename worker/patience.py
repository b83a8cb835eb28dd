"""Writing to a database that may be away for a while."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from jobs.database import UNREACHABLE, Database
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
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            with database.write() as session:
                return write(Repository(session))
        except UNREACHABLE as error:
            if time.monotonic() > deadline or in_vain():
                raise
            log.warning("the database is away (%s); trying again", type(error).__name__)
            time.sleep(PAUSE_SECONDS)
