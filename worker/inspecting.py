"""Inspections at work: while the worker runs, one at a time is answered beside its trainings.

They wait for no slot, since a person waits for them, and compute on one thread of the CPU. Each is
answered by a child process, which ends with whatever it was given; the worker does not.
"""

import contextlib
import json
import logging
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from sqlalchemy.exc import SQLAlchemyError

from jobs.artifacts import ArtifactStore
from jobs.database import UNREACHABLE, Database
from jobs.errors import StoreUnavailable
from jobs.input_errors import HubRefused, HubUnreachable, InputDamaged, InputMissing, InspectionLost
from jobs.inspections import Inspected
from jobs.repository import Repository
from jobs.settings import Settings
from kdcore.errors import DataError
from worker.child import BrokenStoryError, Child
from worker.furnishing import furnished
from worker.patience import insist
from worker.stay import Stay
from worker.verifying import InVain

INSPECTOR = (sys.executable, "-P", "-m", "worker.inspector")
TICK_SECONDS: Final = 0.1
AWAY_SECONDS: Final = 2.0
_LEFT_SECONDS: Final = 86_400.0
_LOG_BYTES: Final = 16 << 10

log = logging.getLogger(__name__)


class Inspecting:
    """Takes inspections from the ledger, one after the other."""

    def __init__(  # noqa: PLR0913  # each a part of one worker
        self,
        settings: Settings,
        database: Database,
        store: ArtifactStore,
        draining: threading.Event,
        stay: Stay,
        *,
        command: Sequence[str] = INSPECTOR,
    ) -> None:
        """Answer by what `command` starts; while it does, the worker has something to do."""
        self._settings = settings
        self._database = database
        self._store = store
        self._draining = draining
        self._command = command
        self._bell = threading.Event()
        self._stay = stay

    def ring(self) -> None:
        """Look for an inspection now."""
        self._bell.set()

    def run(self) -> None:
        """Answer until the worker drains."""
        self._tidy()
        while not self._draining.is_set():
            wait = self._settings.poll_seconds
            try:
                while not self._draining.is_set() and self.answer_one():
                    pass
            except SQLAlchemyError as error:
                log.warning("could not look for an inspection: %s", type(error).__name__)
                wait = AWAY_SECONDS
            except Exception:
                # A worker that answers no more would be noticed only when people wait.
                log.exception("an inspection was given up")
                wait = AWAY_SECONDS
            self._bell.wait(wait)
            self._bell.clear()

    def answer_one(self) -> bool:
        """Answer the inspection that is next; tell whether there was any."""
        with self._database.write() as session:
            claim = Repository(session).claim_inspection(self._settings.lease_seconds)
        if claim is None:
            return False
        log.info("%s, a %s, begins", claim.id, claim.kind)
        folder = self._settings.inspected / claim.id
        try:
            with self._stay.at_work():
                _Answering(self, claim, folder).run()
        except InspectionLost as error:
            log.info("%s", error)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return True

    def _tidy(self) -> None:
        """Remove what workers have left that died over an inspection."""
        folder = self._settings.inspected
        for left in folder.iterdir() if folder.is_dir() else ():
            with contextlib.suppress(OSError):
                if left.stat().st_mtime < time.time() - _LEFT_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)

    @property
    def parts(self) -> tuple[Settings, Database, ArtifactStore, threading.Event, Sequence[str]]:
        """What one answer works with."""
        return self._settings, self._database, self._store, self._draining, self._command


class _Answering:
    """One inspection, from its claim to its end."""

    def __init__(self, room: Inspecting, claim: Inspected, folder: Path) -> None:
        self._settings, self._database, self._store, self._draining, self._command = room.parts
        self._claim = claim
        self._folder = folder
        self._renewed = time.monotonic()
        self._ends_at = self._renewed + self._settings.inspection_seconds
        self._lost = False
        self._words = bytearray()

    def run(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)  # of a worker that died over it
        try:
            self._folder.mkdir(parents=True)
            with furnished(
                self._claim.inputs, self._folder, self._settings, self._store, self._is_in_vain
            ) as inputs:
                told = self._ask(inputs)
        except (InputMissing, InputDamaged, HubRefused, HubUnreachable, DataError) as error:
            told = _failed(error.code, str(error), error.hint)
        except (InVain, StoreUnavailable):
            told = None
        except OSError as error:
            told = _failed("cannot_start", f"nobody could look at it: {error}", "ask again")
        self._settle(told)

    def _ask(self, inputs: Path) -> dict[str, Any]:
        """Have a child look; return its answer, or what is told where it gave none."""
        order = {
            "kind": self._claim.kind,
            "asked": self._claim.asked,
            "inputs": str(inputs),
            "memory_bytes": self._settings.inspection_memory_bytes,
        }
        with Child(self._command, order, self._folder, overhear=self._overhear) as child:
            with contextlib.suppress(BrokenStoryError, ValueError):
                while (lines := child.lines(TICK_SECONDS)) is not None:
                    if lines:
                        # All that it has to say: its own end takes a while, and nobody waits.
                        return cast("dict[str, Any]", json.loads(lines[0]))
                    if self._is_in_vain():
                        raise InVain
                    if time.monotonic() > self._ends_at:
                        return self._overdue()
            code = child.wait(0)
        log.warning("%s: %s", self._claim.id, self._words.decode(errors="replace"))
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return _failed(
            "inspection_crashed",
            f"the process that looked at it ended with {how}, and no answer",
            "the worker's log has its last words; signal 9 may mean that memory was short",
        )

    def _overdue(self) -> dict[str, Any]:
        most = self._settings.inspection_seconds
        return _failed(
            "inspection_overdue",
            f"looking at it took longer than the {most:.0f} s that it may take",
            "bring less, or have STILLHOUSE_INSPECTION_SECONDS raised",
        )

    def _overhear(self, written: bytes) -> None:
        self._words += written
        del self._words[:-_LOG_BYTES]

    def _is_in_vain(self) -> bool:
        """Renew the lease where it is time to; tell whether to stop."""
        if time.monotonic() - self._renewed > self._settings.lease_seconds / 3:
            self._renewed = time.monotonic()
            with contextlib.suppress(*UNREACHABLE):
                try:
                    with self._database.write() as session:
                        Repository(session).renew_inspection(
                            self._claim.id, self._claim.attempt, self._settings.lease_seconds
                        )
                except InspectionLost:
                    self._lost = True
        return self._lost or self._draining.is_set()

    def _settle(self, told: dict[str, Any] | None) -> None:
        """Write the answer; None gives the inspection back.

        Raises:
            InspectionLost: it is not ours any more.
        """

        def write(ledger: Repository) -> None:
            if told is None:
                ledger.release_inspection(self._claim.id, self._claim.attempt)
            else:
                ledger.answer_inspection(self._claim.id, self._claim.attempt, **told)

        insist(self._database, write, in_vain=self._draining.is_set)
        log.info("%s: %s", self._claim.id, "given back" if told is None else next(iter(told)))


def _failed(code: str, message: str, hint: str | None) -> dict[str, Any]:
    return {"failure": {"code": code, "message": message, "hint": hint}}
