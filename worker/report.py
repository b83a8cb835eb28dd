"""The trainer's story on its way into the ledger: checked line by line, written in batches."""

import logging
import time
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from jobs.database import UNREACHABLE, Database
from jobs.leases import Claim, Wish
from jobs.metrics import STEP, read_columns
from jobs.repository import Repository
from kdcore.events import EVENT, Metrics
from worker.child import BrokenStoryError
from worker.patience import insist

FLUSH_SECONDS = 0.5
AWAY_SECONDS = 3.0
FIRST_STEP = "attempt.first_step"
"""The event that tells how long an attempt took from its claim to its first optimiser step."""

log = logging.getLogger(__name__)


class Report:
    """What one attempt has told so far; the ledger has it up to the last flush."""

    def __init__(
        self,
        database: Database,
        claim: Claim,
        hear: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        """Start with nothing told; `hear` is told each event as well."""
        self._database = database
        self._claim = claim
        self._hear = hear
        self._waiting: list[dict[str, Any]] = []
        self._sending: list[dict[str, Any]] = []
        self._batch = 0
        self._next_flush = time.monotonic() + FLUSH_SECONDS
        self.heard_at = time.monotonic()
        """When the trainer last said anything, on the monotonic clock."""
        self.is_warm = False
        """Whether the trainer was forked with the engine loaded."""
        self._has_stepped = False
        self.finished = False
        self.verdict: dict[str, Any] | None = None
        self.failure: dict[str, Any] | None = None
        self.announced: dict[str, dict[str, Any]] = {}
        """The artifacts of this attempt by name."""

    def take(self, line: bytes) -> None:
        """Read a line.

        Raises:
            BrokenStoryError: it is no event.
        """
        try:
            event = _read(line)
        except (ValidationError, ValueError, OverflowError) as error:
            raise BrokenStoryError(f"no event: {line[:200]!r}") from error
        if event is None:
            return
        self.heard_at = time.monotonic()
        self._hear(event)
        match event["type"]:
            case "run.finished":
                self.finished = True
            case "run.failed":
                self.failure = event
            case "verdict":
                self.verdict = event["verdict"]
            case "artifact":
                self.announced[event["name"]] = event
            case ("stage.progress" | "answers.progress") as kind if (
                self._waiting and self._waiting[-1]["type"] == kind
            ):
                # Only the latest counts; an outage must not pile them up.
                self._waiting.pop()
            case _:
                pass
        self._waiting.append(event)
        if event["type"] == "stage.progress" and not self._has_stepped:
            self._has_stepped = True
            seconds = round(time.monotonic() - self._claim.claimed_at, 4)
            told = {"type": FIRST_STEP, "warm": self.is_warm, "seconds": seconds}
            # Before the progress, of which only the latest is kept.
            self._waiting.insert(-1, told)

    def flush_if_due(self) -> Wish | None:
        """Write what waits, if it is time to; return what the client wants, if it was heard.

        Raises:
            LeaseLost: another attempt owns the job.
        """
        now = time.monotonic()
        if now < self._next_flush or not self._next_batch():
            return None
        self._next_flush = now + FLUSH_SECONDS
        try:
            with self._database.write() as session:
                wish = self._record(Repository(session))
        except UNREACHABLE as error:
            log.warning("events of %s wait: %s", self._claim.job_id, type(error).__name__)
            self._next_flush = time.monotonic() + AWAY_SECONDS
            return None
        self._sending = []
        return wish

    def flush(self, *, in_vain: Callable[[], bool]) -> None:
        """Write all that waits, however long the database is away.

        Raises:
            LeaseLost: another attempt owns the job.
        """
        while self._next_batch():
            insist(self._database, self._record, in_vain=in_vain)
            self._sending = []

    def _next_batch(self) -> bool:
        """Have a batch to send; it keeps number and content until its commit is known to be in."""
        if not self._sending and self._waiting:
            self._sending, self._waiting = self._waiting, []
            self._batch += 1
        return bool(self._sending)

    def _record(self, repository: Repository) -> Wish:
        return repository.record(
            self._claim.job_id, self._claim.attempt, self._sending, batch=self._batch
        )


def _read(line: bytes) -> dict[str, Any] | None:
    """Return an event as it is recorded; None for points of no step at all.

    Numbers are read once, into the arrays that they are stored from.
    """
    told = EVENT.validate_json(line)
    if not isinstance(told, Metrics):
        return told.model_dump(mode="json")
    if not told.columns.get(STEP):
        return None
    steps, values = read_columns(told.columns)
    columns = {STEP: steps, **values}
    return {"type": told.type, "stage": told.stage, "seed": told.seed, "columns": columns}
