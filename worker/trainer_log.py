"""What a trainer writes to its standard output and error: kept in the ledger, never without end.

A trainer reports by its events; this is what libraries warn of, and the last words of one that
crashes. The beginning and the end are kept, and how much lay between. It comes by a pipe, so one
that writes faster than is read waits, and fills nobody's disk.
"""

import logging
import time
from collections.abc import Callable

from jobs.database import UNREACHABLE, Database
from jobs.leases import Claim
from jobs.repository import Repository
from worker.patience import insist

HEAD_BYTES = 64 << 10
TAIL_BYTES = 192 << 10
KEEP_SECONDS = 2.0
AWAY_SECONDS = 10.0
RETOLD_LINES = 100
"""Lines of an attempt that also stand in the worker's own log."""
_LONGEST = 2_000

log = logging.getLogger("trainer")


class TrainerLog:
    """The log of one attempt; the ledger has it up to the last keeping."""

    def __init__(self, database: Database, claim: Claim) -> None:
        """Start with nothing written."""
        self._database = database
        self._claim = claim
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0
        self._is_new = False
        self._next = time.monotonic()
        self._line = bytearray()
        self._retold = 0

    def take(self, written: bytes) -> None:
        """Take in what was written."""
        if not written:
            return
        self._is_new = True
        self._retell(written)
        room = HEAD_BYTES - len(self._head)
        self._head += written[:room]
        self._tail += written[room:]
        # Not with each write: moving the tail costs its length.
        if len(self._tail) > 2 * TAIL_BYTES:
            self._shorten()

    def keep_if_due(self) -> None:
        """Write it to the ledger if there is news and it is time to.

        Raises:
            LeaseLost: another attempt owns the job.
        """
        now = time.monotonic()
        if not self._is_new or now < self._next:
            return
        self._next = now + KEEP_SECONDS
        try:
            with self._database.write() as session:
                self._keep(Repository(session))
        except UNREACHABLE:
            self._next = time.monotonic() + AWAY_SECONDS
            return
        self._is_new = False

    def keep(self, *, in_vain: Callable[[], bool]) -> None:
        """Write it to the ledger, however long the database is away.

        Raises:
            LeaseLost: another attempt owns the job.
        """
        if self._line:
            self._retell(b"\n")
        if self._is_new:
            insist(self._database, self._keep, in_vain=in_vain)
            self._is_new = False

    def _keep(self, repository: Repository) -> None:
        self._shorten()
        repository.keep_log(
            self._claim.job_id,
            self._claim.attempt,
            bytes(self._head),
            self._left_out,
            bytes(self._tail),
        )

    def _shorten(self) -> None:
        beyond = max(0, len(self._tail) - TAIL_BYTES)
        del self._tail[:beyond]
        self._left_out += beyond

    def _retell(self, written: bytes) -> None:
        if self._retold >= RETOLD_LINES:
            return
        *lines, rest = (self._line + written).split(b"\n")
        self._line = rest[-_LONGEST:]
        for line in lines[: RETOLD_LINES - self._retold]:
            log.info("%s", line[:_LONGEST].decode(errors="replace"))
        self._retold += len(lines)
        if self._retold >= RETOLD_LINES:
            self._line.clear()
            log.info("no more of it stands here; the job's logs have the rest")
