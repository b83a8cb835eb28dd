"""The real API in a real process, a ledger to play the worker in, and the command line."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from waiting import wait_until

from jobs.artifacts import ArtifactStore, Delivery
from jobs.database import Database, open_database
from jobs.endings import Ending, Failure
from jobs.leases import Claim
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.states import Status
from jobs.stores import open_store

ROOT = Path(__file__).parents[2]
SPEC: dict[str, Any] = {
    "name": "tiny",
    "teacher": {"model": {"name": "mlp", "hidden": [8]}},
    "student": {"model": {"name": "mlp", "hidden": [4]}},
    "data": {"name": "synthetic"},
    "method": "kd",
    "training": {"max_steps": 5},
    "seeds": [0],
}
MEASURED = {
    "score": {"values": [0.9], "mean": 0.9, "std": None},
    "parameters": 2410,
    "size_bytes": 9640,
    "flops": 4800,
    "latency_ms": 0.01,
}


def verdict(*, passed: bool = True) -> dict[str, Any]:
    return {
        "outcome": "beats",
        "sentence": "distillation made the student better",
        "rule": "wholly above 0",
        "seeds": [0],
        "metric": "accuracy",
        "called": "accuracy",
        "teacher": MEASURED,
        "student": MEASURED,
        "baseline": MEASURED,
        "controls": {"hard_labels": MEASURED},
        "uplift": {"mean": 0.07, "low": 0.06, "high": 0.08, "confidence": 0.95, "values": [0.07]},
        "retention": 0.98,
        "agreement": 0.97,
        "compression": {"parameters": 24.0, "size": 24.0, "flops": 24.0, "latency": 5.0},
        "gates": [
            {
                "gate": "student.accuracy >= 0.95",
                "metric": "student.accuracy",
                "op": ">=",
                "target": 0.95,
                "value": 0.96 if passed else 0.9,
                "passed": passed,
            }
        ],
        "gates_passed": passed,
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    """This process's environment without any setting of ours, and with `more`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("STILLHOUSE_")}
    # The packages beside these tests, whichever ones are installed.
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "client")))
    return {**kept, "PYTHONPATH": paths, "NO_COLOR": "1", "COLUMNS": "200", **more}


@dataclass
class Server:
    """`python -m api` on a data folder, always on the same port."""

    data: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    variables: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.data.mkdir(parents=True, exist_ok=True)
        with (self.data / "api.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "api", "--host", "127.0.0.1", "--port", str(self.port)],
                env=environment(STILLHOUSE_DATA=str(self.data), **self.variables),
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers, seconds=60)

    def stop(self) -> None:
        """Kill it, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.data / "api.log").read_text()
        try:
            return httpx.get(f"{self.url}/livez").is_success
        except httpx.HTTPError:
            return False


@dataclass
class Worker:
    """Does to the ledger what a worker does, without training anything."""

    database: Database
    store: ArtifactStore
    batches: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, job_id: str) -> Claim:
        """Claim a job, and whatever other tests have left in the queue before it."""
        while True:
            with self.database.write() as session:
                claim = Repository(session).claim("worker-of-tests", 600)
            assert claim is not None, "the job is not in the queue"
            if claim.job_id == job_id:
                return claim

    def tell(self, claim: Claim, *events: Mapping[str, Any]) -> None:
        """Record events of the trainer."""
        number = self.batches[claim.job_id] = self.batches.get(claim.job_id, 0) + 1
        with self.database.write() as session:
            Repository(session).record(claim.job_id, claim.attempt, events, batch=number)

    def deliver(self, claim: Claim, folder: Path, name: str, content: bytes) -> None:
        """Put a file into the store and the ledger."""
        (folder / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        delivery = Delivery(name, "report", len(content), digest, "application/octet-stream")
        where = self.store.put(claim.job_id, claim.attempt, delivery, folder / name)
        with self.database.write() as session:
            Repository(session).attach(claim.job_id, claim.attempt, delivery, where)

    def succeed(self, claim: Claim, *, passed: bool = True) -> None:
        """End the job well, its gates passed or not."""
        with self.database.write() as session:
            Repository(session).settle(
                claim.job_id,
                claim.attempt,
                Status.SUCCEEDED,
                Ending("finished", exit_code=0),
                verdict=verdict(passed=passed),
            )

    def fail(self, claim: Claim) -> None:
        """End the job badly."""
        failure = Failure("nan_loss", "the loss is not a number", "lower the learning rate")
        with self.database.write() as session:
            Repository(session).settle(
                claim.job_id, claim.attempt, Status.FAILED, Ending("failed", failure, exit_code=65)
            )


def worker_on(data: Path) -> Worker:
    settings = Settings(data=data)
    return Worker(open_database(settings), open_store(settings))


@dataclass
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


Cli = Callable[..., Said]


def run_cli(*arguments: str, url: str = "", stdin: str = "", **env: str) -> Said:
    """Run `stillhouse` as a process of its own, as a shell would."""
    if url:
        env["STILLHOUSE_URL"] = url
    done = subprocess.run(
        [sys.executable, "-m", "stillhouse", *arguments],
        input=stdin,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)
