"""Mirrors for tests, and what MLflow has of a job."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow_server import MlflowServer
from sqlalchemy import update
from waiting import wait_until

from jobs.database import Database
from jobs.mirror import Mirror
from jobs.mlflow_client import Mlflow
from jobs.mlflow_runs import Mirrored
from jobs.mlflow_tables import MlflowRun
from jobs.moments import clock
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.stores import open_store


@contextmanager
def mirroring(settings: Settings, database: Database, **options: Any) -> Generator[Mirror]:
    """Run a mirror."""
    mlflow = Mlflow(settings.mlflow_url)
    one = Mirror(settings, database, open_store(settings), mlflow, **options)
    one.begin()
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        yield one
    finally:
        one.stop(20.0)
        thread.join()


def watch(database: Database) -> None:
    """Have events noted, as they are where a mirror was there lately."""
    with database.write() as session:
        Repository(session).begin_mirroring("tests")


def row_of(database: Database, job_id: str) -> MlflowRun | None:
    """Return what is noted of a job's run."""
    with database.read() as session:
        return Repository(session).run_of(job_id)


def mirrored(database: Database) -> Mirrored:
    """Return how far all jobs are."""
    with database.read() as session:
        return Repository(session).mirrored()


def told(database: Database, job_id: str, status: str | None = None) -> MlflowRun:
    """Wait until all of a job is told, and return what is noted of its run."""

    def is_told() -> MlflowRun | None:
        row = row_of(database, job_id)
        at_rest = row and row.next_at is None and (status is None or row.told == status)
        return row if at_rest else None

    return wait_until(is_told, seconds=60)


def make_due(database: Database) -> None:
    """Have everything that waits since it has failed be due now."""
    with database.write() as session:
        failed = MlflowRun.failures > 0, MlflowRun.next_at.is_not(None)
        session.execute(update(MlflowRun).where(*failed).values(next_at=clock(-1)))


def the_run(server: MlflowServer, settings: Settings, job_id: str, project: str = "default") -> Any:
    """Return the only run of a job."""
    client = server.client()
    name = settings.mlflow_experiment.replace("{project}", project)
    experiment = client.get_experiment_by_name(name)
    wanted = f"tags.`stillhouse.job` = '{job_id}'"
    (run,) = client.search_runs([experiment.experiment_id], wanted)
    return run


def history(server: MlflowServer, run_id: str, keys: list[str]) -> dict[str, list[Any]]:
    """Return the points of metrics as MLflow has them; none may be there twice."""
    client = server.client()
    found: dict[str, list[Any]] = {}
    for key in keys:
        points = [(one.step, one.value) for one in client.get_metric_history(run_id, key)]
        assert max(Counter(points).values(), default=1) == 1, key
        found[key] = sorted(points)
    return found


def ledger_curves(database: Database, job_id: str) -> dict[str, list[Any]]:
    """Return the curves of a job as the ledger has them, in the same form."""
    with database.read() as session:
        curves = Repository(session).metrics(job_id)
    found: dict[str, list[Any]] = {}
    for stage, series in curves.stages.items():
        steps = series.columns["step"]
        for name, column in series.columns.items():
            if name != "step":
                pairs = zip(steps, column, strict=True)
                found[f"{stage}/{name}"] = [pair for pair in pairs if pair[1] is not None]
    return found


def digests(server: MlflowServer, run_id: str, folder: Path) -> dict[str, str]:
    """Fetch all artifacts of a run; return the digest of each, by its path."""
    folder.mkdir()
    fetched = Path(server.client().download_artifacts(run_id, "", str(folder)))
    return {
        str(file.relative_to(fetched)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in fetched.rglob("*")
        if file.is_file()
    }
