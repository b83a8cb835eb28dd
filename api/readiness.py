"""What a server needs to do its work, asked one by one, none for longer than a few seconds."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Final

from api.condition import Check
from jobs.artifacts import ArtifactStore
from jobs.database import Database, schema_revision
from jobs.queue import Bell
from jobs.repository import Repository
from jobs.settings import Settings

PATIENCE_SECONDS: Final = 4.0
"""For each question; whoever asks, a load balancer or Compose, waits about five."""
LEAST_FREE_BYTES: Final = 64 << 20
_GIB: Final = 1 << 30

Answer = tuple[bool, str]
"""Whether it is well, and in words how it is."""


class Readiness:
    """The questions of one server.

    Each is asked in a thread of its own. Where the answer does not come, the thread stays with it,
    and until it is free again nobody else is sent after it: a database behind a dead network link
    must not take all the threads of the server.
    """

    def __init__(
        self, settings: Settings, database: Database, store: ArtifactStore, bell: Bell
    ) -> None:
        """Ask of these."""
        self._settings = settings
        self._database = database
        self._began = time.monotonic()
        self._questions: dict[str, Callable[[], Answer]] = {
            "database": self._ask_database,
            "store": lambda: _well(store.ping()),
            "data": self._ask_data,
            "sweeper": self._ask_sweeper,
        }
        if settings.rings:
            self._questions["broker"] = lambda: _well(bell.ping())
        if settings.mlflow_url:
            self._questions["mlflow"] = self._ask_mirror
        self._lock = threading.Lock()
        self._asked: dict[str, Future[Answer]] = {}

    def checks(self) -> Sequence[Check]:
        """Return how everything is now."""
        with self._lock:
            for name, ask in self._questions.items():
                if name not in self._asked:
                    self._asked[name] = _begin(name, ask)
            asked = dict(self._asked)
        deadline = time.monotonic() + PATIENCE_SECONDS
        return [self._answer(name, asked[name], deadline) for name in self._questions]

    def _answer(self, name: str, asked: Future[Answer], deadline: float) -> Check:
        try:
            ok, detail = asked.result(max(0.0, deadline - time.monotonic()))
        except NotYet as error:
            if not asked.done():
                return Check(name=name, ok=False, detail=f"no answer in {PATIENCE_SECONDS:g} s")
            ok, detail = False, _unsaid(error)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, the check is red
            ok, detail = False, _unsaid(error)
        with self._lock:
            if self._asked.get(name) is asked:
                del self._asked[name]
        return Check(name=name, ok=ok, detail=detail)

    def _ask_database(self) -> Answer:
        found, written_for = schema_revision(self._database)
        kind = "SQLite" if self._database.is_sqlite else "PostgreSQL"
        if found == written_for:
            return True, f"ok ({kind}, schema {found})"
        # Not red: a newer schema fits the version before, so that upgrades need no pause.
        return True, f"ok ({kind}, schema {found}; this version was written for {written_for})"

    def _ask_data(self) -> Answer:
        folder = self._settings.data
        with tempfile.NamedTemporaryFile(prefix=".ready-", dir=folder):
            free = shutil.disk_usage(folder).free
        if free < LEAST_FREE_BYTES:
            return False, f"{free >> 20} MiB are free, expected {LEAST_FREE_BYTES >> 20} or more"
        return True, f"ok ({free / _GIB:.1f} GiB free)"

    def _ask_mirror(self) -> Answer:
        with self._database.read() as session:
            found = Repository(session).mirrored()
        # Never red: jobs run on without it, and what is told later is the same.
        if found.failing:
            return True, f"{found.failing} jobs could not be told to MLflow, which is tried again"
        return True, f"ok ({found.told} jobs told, {found.waiting} to be looked at again)"

    def _ask_sweeper(self) -> Answer:
        settings = self._settings
        most = max(settings.lease_seconds, 6 * settings.sweep_seconds)
        with self._database.read() as session:
            last = Repository(session).last_sweep()
        # A server that has just begun has not been through yet.
        young = time.monotonic() - self._began
        if last is None:
            return young < most, "no sweep was ever noted"
        said = f"last sweep {last.age_seconds:.1f} s ago"
        if min(last.age_seconds, young) < most:
            return True, f"ok ({said})"
        return False, f"{said}, expected {most:g} at most: jobs of dead workers are not freed"


def _begin(name: str, ask: Callable[[], Answer]) -> Future[Answer]:
    """Ask in a thread that no end of the process waits for, as that of a pool would be."""
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(ask())
        except Exception as error:  # noqa: BLE001 - whatever it is, who asked shall hear it
            future.set_exception(error)

    threading.Thread(target=run, name=f"ready-{name}", daemon=True).start()
    return future


def _well(_: None) -> Answer:
    return True, "ok"


def _unsaid(error: Exception) -> str:
    # The text of a driver's error may hold addresses and passwords; its class does not.
    if isinstance(error, OSError) and error.errno is not None:
        return f"does not answer ({os.strerror(error.errno)})"
    return f"does not answer ({type(error).__name__})"
