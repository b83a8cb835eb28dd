"""Real worker processes around one ledger, and a way to see what they do."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from waiting import wait_until

from jobs.database import Database
from jobs.operating import DrainMode
from jobs.queue import Bell
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.spec import JobSpec
from jobs.tables import Job

ROOT = Path(__file__).resolve().parents[2]


class House:
    """Starts `python -m worker` as an operator would, by environment variables alone."""

    def __init__(self, settings: Settings, database: Database, folder: Path) -> None:
        """Stand on a ledger; logs go into the folder."""
        self.settings = settings
        self.database = database
        self.bell = Bell(settings)
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, **changed: Any) -> subprocess.Popen[bytes]:
        """Start a process with the house's settings, some of them changed."""
        settings = self.settings.model_copy(update=changed)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("STILLHOUSE_")}
        environment |= {
            f"STILLHOUSE_{name.upper()}": str(value)
            for name, value in settings.model_dump().items()
            if value is not None
        }
        environment["PYTHONPATH"] = str(ROOT)
        with (self._folder / f"worker-{len(self._processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker", *arguments],
                env=environment,
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def worker_id(self, process: subprocess.Popen[bytes]) -> str:
        """Wait until a worker is listed; return its id."""

        def listed() -> list[str]:
            with self.database.read() as session:
                found = [worker.id for worker in Repository(session).workers()]
            return [one for one in found if f"-{process.pid}-" in one]

        (worker_id,) = wait_until(listed)
        return worker_id

    def drain(self, process: subprocess.Popen[bytes], mode: DrainMode) -> None:
        """Tell a worker to drain, over the ledger as the API does."""
        worker_id = self.worker_id(process)
        with self.database.write() as session:
            Repository(session).drain_worker(worker_id, mode)

    def start_warm(self) -> subprocess.Popen[bytes]:
        """Start a worker and wait until its nursery is ready."""
        worker = self.start(warm=True)
        wait_until(lambda: "the nursery is ready" in self.log(worker), seconds=180)
        return worker

    def log(self, process: subprocess.Popen[bytes]) -> str:
        """Return what a process has logged."""
        place = self._processes.index(process)
        return (self._folder / f"worker-{place}.log").read_text()

    def submit(self, steps: int = 20, *, ring: bool = True, **spec: Any) -> str:
        """Store a job with a training of so many steps, and ring for it."""
        sent = {
            "teacher": "mlp",
            "student": "mlp",
            "data": "synthetic",
            "baseline": False,
            "training": {"max_steps": steps, "save_steps": 100},
            "export": ["safetensors"],
            **spec,
        }
        with self.database.write() as session:
            job_id = Repository(session).add(JobSpec.model_validate(sent), sent).id
        if ring:
            self.bell.ring(job_id)
        return job_id

    def job(self, job_id: str) -> Job:
        """Return a job as it is now."""
        with self.database.read() as session:
            return Repository(session).get(job_id)

    def wait_for(self, job_id: str, status: str, *, seconds: float = 180) -> Job:
        """Wait until the job has the status; fail early if it ends otherwise."""

        def arrived() -> Job | None:
            job = self.job(job_id)
            ended = job.finished_at is not None
            assert job.status == status or not ended, (job.status, job.failure)
            return job if job.status == status else None

        job = wait_until(arrived, seconds=seconds, every=0.05)
        assert job is not None
        return job

    def wait_for_step(self, job_id: str, step: int, stage: str = "student-0") -> None:
        """Wait until a stage of the job has come to a step."""

        def reached() -> bool:
            progress = self.job(job_id).progress or {}
            return progress.get("stage") == stage and progress["step"] >= step

        wait_until(reached, seconds=180)

    def digest(self, job_id: str) -> str:
        """Return the sha256 of the delivered student."""
        with self.database.read() as session:
            return Repository(session).artifact(job_id, "student.safetensors").sha256

    def curves(self, job_id: str) -> dict[str, dict[str, list[float | int | None]]]:
        """Return every curve of the job, whole."""
        with self.database.read() as session:
            curves = Repository(session).metrics(job_id)
        return {stage: series.columns for stage, series in curves.stages.items()}

    def reasons(self, job_id: str) -> list[str | None]:
        """Return why each attempt ended."""
        with self.database.read() as session:
            return [attempt.reason for attempt in Repository(session).attempts(job_id)]

    def were_warm(self, job_id: str) -> list[bool]:
        """Tell of each attempt that took a step whether its trainer was forked."""
        with self.database.read() as session:
            events = Repository(session).events(job_id)
        return [event.data["warm"] for event in events if event.type == "attempt.first_step"]

    def first_steps(self, job_id: str) -> list[int]:
        """Return the step that each training of the job started at, in order."""
        with self.database.read() as session:
            events = Repository(session).events(job_id)
        return [event.data["step"] for event in events if event.type == "stage.started"]

    def trainers(self) -> list[psutil.Process]:
        """Return all trainers that work in this house's folder, orphans as well."""
        work = str(self.settings.work)
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                # A forked one goes by the name of the nursery, which is somewhere else.
                is_ours = {"worker.trainer", "worker.nursery"} & set(process.cmdline())
                if is_ours and process.cwd().startswith(work):
                    found.append(process)
        return found

    def the_trainer(self) -> psutil.Process:
        """Wait for the one trainer that there should be."""
        wait_until(self.trainers)
        (trainer,) = self.trainers()
        return trainer

    def close(self) -> None:
        """Kill the workers; their trainers must go with them."""
        for process in self._processes:
            process.kill()
            process.wait()
        self.bell.close()
        wait_until(lambda: not self.trainers(), seconds=30)


def loads_torch(pid: int) -> bool:
    """Tell whether torch is in a process's memory."""
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


def terminate(process: subprocess.Popen[bytes], *, seconds: float = 60) -> int:
    """Ask a process to end, as an operator does, and return its exit code."""
    process.send_signal(signal.SIGTERM)
    return process.wait(seconds)
