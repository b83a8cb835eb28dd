"""The heartbeat of an attempt: renews its lease, and hears what the client wants."""

import logging
import threading
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from jobs.database import Database
from jobs.errors import LeaseLost
from jobs.leases import Claim, Wish
from jobs.logs import bind
from jobs.repository import Repository

BEATS_PER_LEASE = 6
AGAIN_SECONDS = 2.0
"""Before another beat where one failed: what is left of the lease must not be waited away."""

log = logging.getLogger(__name__)


class Heart(threading.Thread):
    """Beats until it is stopped, or until the lease is lost.

    A database that does not answer is no reason to stop a training: all that it writes is fenced.
    """

    def __init__(self, database: Database, claim: Claim, lease_seconds: float) -> None:
        """Get ready to beat for a claim."""
        super().__init__(name=f"heart-{claim.job_id}-{claim.attempt}", daemon=True)
        self._database = database
        self._claim = claim
        self._lease_seconds = lease_seconds
        self._stopped = threading.Event()
        self.lost = threading.Event()
        """Set once another attempt owns the job."""
        self.wish = Wish(cancel=None)
        """What the client wanted at the last beat."""

    def run(self) -> None:
        """Beat, a sixth of the lease time apart."""
        bind(job_id=self._claim.job_id, attempt=self._claim.attempt)
        usual = self._lease_seconds / BEATS_PER_LEASE
        pause = usual
        while not self._stopped.wait(pause):
            pause = usual
            try:
                with self._database.write() as session:
                    self.wish = Repository(session).heartbeat(
                        self._claim.job_id, self._claim.attempt, self._lease_seconds
                    )
            except LeaseLost as error:
                log.warning("%s", error)
                self.lost.set()
                return
            except SQLAlchemyError as error:
                log.warning("no heartbeat for %s: %s", self._claim.job_id, type(error).__name__)
                pause = min(usual, AGAIN_SECONDS)

    def __enter__(self) -> Self:
        """Begin to beat."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop beating."""
        self._stopped.set()
        self.join()
