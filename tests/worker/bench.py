"""Attempts with a scripted trainer, in this process, on a real ledger."""

import contextlib
import json
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from jobs.database import Database
from jobs.leases import Claim
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.spec import JobSpec
from jobs.stores import open_store
from jobs.tables import Job
from worker.attempt import Supervisor
from worker.keeper import Keeper

SCRIPT = Path(__file__).parent / "script_trainer.py"
NURSERY = Path(__file__).parent / "script_nursery.py"


class Bench:
    """Runs scripted jobs, and says what became of them."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Stand on a ledger; where the settings say warm, with a nursery that is ready."""
        self.settings = settings
        self.database = database
        self.draining = threading.Event()
        self._pool = ThreadPoolExecutor()
        self.keeper: Keeper | None = None
        if settings.warm:
            self.keeper = Keeper((sys.executable, str(NURSERY)))
            self._keeping = threading.Thread(target=self.keeper.run)
            self._keeping.start()
            assert self.keeper.ready.wait(30)

    def close(self) -> None:
        """End every attempt that a failing test left behind, so that nothing waits for it."""
        self.draining.set()
        for trainer in self.trainers():
            trainer.kill()
        self._pool.shutdown()
        if self.keeper is not None:
            self.keeper.close()
            self._keeping.join(10)
            assert not self._keeping.is_alive()

    def trainers(self) -> list[psutil.Process]:
        """Return the scripted trainers that this process has started and that still live."""
        found: list[psutil.Process] = []
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                # Neither the nursery nor who stands in line there is in an attempt's folder.
                works = process.cwd().startswith(str(self.settings.work))
                if works and {str(SCRIPT), str(NURSERY)} & set(process.cmdline()):
                    found.append(process)
        return found

    def submit(self, spec: dict[str, Any] | None = None, **script: Any) -> str:
        """Store a job whose trainer follows the script."""
        sent = {"teacher": "mlp", "student": "mlp", "data": "digits", "name": json.dumps(script)}
        sent |= spec or {}
        with self.database.write() as session:
            return Repository(session).add(JobSpec.model_validate(sent), sent).id

    def claim(self) -> Claim:
        """Claim the next job."""
        with self.database.write() as session:
            claim = Repository(session).claim("bench", self.settings.lease_seconds)
        assert claim is not None
        return claim

    def run(self, **changed: Any) -> Claim:
        """Claim the next job and run the attempt to its end."""
        claim = self.claim()
        self.start(claim, **changed).result(60)
        return claim

    def start(self, claim: Claim, **changed: Any) -> Future[None]:
        """Run an attempt in a thread."""
        settings = self.settings.model_copy(update=changed)
        supervisor = Supervisor(
            settings,
            self.database,
            open_store(settings),
            self.draining,
            command=(sys.executable, "-P", str(SCRIPT)),
            keeper=self.keeper,
        )
        return self._pool.submit(supervisor.run, claim)

    def ask(self, question: Callable[[Repository], Any]) -> Any:
        """Read the ledger."""
        with self.database.read() as session:
            return question(Repository(session))

    def job(self, job_id: str) -> Job:
        """Return a job as it is now."""
        return self.ask(lambda ledger: ledger.get(job_id))

    def reasons(self, job_id: str) -> list[tuple[str, str | None]]:
        """Return status and reason of each attempt."""
        attempts = self.ask(lambda ledger: ledger.attempts(job_id))
        return [(attempt.status, attempt.reason) for attempt in attempts]

    def result(self, job_id: str) -> str:
        """Return the content of the delivered student."""
        artifact = self.ask(lambda ledger: ledger.artifact(job_id, "student.safetensors"))
        with open_store(self.settings).open(artifact.location) as content:
            return content.read().decode()

    def workdir(self, claim: Claim) -> Path:
        """Return an attempt's folder."""
        return self.settings.work / claim.job_id / str(claim.attempt)
