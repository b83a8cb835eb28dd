"""Jobs become runs of a real MLflow, whatever ends how, and whatever is killed on the way."""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mirrors import (
    digests,
    history,
    ledger_curves,
    make_due,
    mirrored,
    mirroring,
    row_of,
    the_run,
    told,
    watch,
)
from mlflow_server import MlflowServer
from specs import submit
from stage_worker import StageWorker, verdict
from waiting import wait_until

from jobs import mlflow_turn, rounds
from jobs.database import Database
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.states import Status
from jobs.stores import open_store

pytestmark = pytest.mark.slow
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

FILES = {
    "student.safetensors": ("student", b"weights" * 1000),
    "config.json": ("config", b"{}"),
    "README.md": ("card", b"# a card"),
    "report.md": ("report", b"# a report"),
    "teacher.safetensors": ("teacher", b"large"),
}
COPIED = {
    f"{'' if kind == 'report' else 'student/'}{name}": hashlib.sha256(content).hexdigest()
    for name, (kind, content) in FILES.items()
    if kind != "teacher"
}
STAGES = range(3)
PASSED = verdict().model_copy(update={"gates_passed": True})


@pytest.fixture
def settings(
    settings: Settings, mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Give settings of a house with names of its own in the MLflow that all share."""
    monkeypatch.setattr(rounds, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(mlflow_turn, "LIVE_SECONDS", 0.1)
    ours = f"{secrets.token_hex(4)}-{{project}}"
    changes = {"mlflow_url": mlflow_server.url, "mlflow_experiment": ours, "mlflow_model": ours}
    return settings.model_copy(update=changes)


@pytest.fixture
def worker(settings: Settings, database: Database, tmp_path: Path) -> StageWorker:
    """Give a worker that plays attempts."""
    return StageWorker(database, open_store(settings), tmp_path / "files")


def deliver(worker: StageWorker) -> list[Any]:
    """Put the files of a job into the store."""
    return [worker.deliver(name, content, kind) for name, (kind, content) in FILES.items()]


def test_a_job_is_a_run_with_its_curves_files_and_a_version_of_a_model(
    database: Database,
    settings: Settings,
    mlflow_server: MlflowServer,
    worker: StageWorker,
    tmp_path: Path,
) -> None:
    with mirroring(settings, database), mirroring(settings, database):
        labels = {"stage": "prod", "registered-model": "edge/one"}
        job_id = submit(database, name="töny", labels=labels, seeds=[0, 1, 2])
        worker.begin()
        worker.start()
        for place in STAGES:
            worker.train(place)
        wait_until(lambda: len(getattr(row_of(database, job_id), "position", {})) == len(STAGES))
        run = the_run(mlflow_server, settings, job_id)
        assert (run.info.status, run.data.tags["stillhouse.status"]) == ("RUNNING", "running")
        worker.succeed(deliver(worker), PASSED)
        row = told(database, job_id, "FINISHED")
    run = the_run(mlflow_server, settings, job_id)
    assert (run.info.run_id, run.info.run_name) == (row.run_id, "töny")
    with database.read() as session:
        job = Repository(session).get(job_id)
    assert job.finished_at is not None
    assert (run.info.status, run.info.end_time) == (
        "FINISHED",
        int(job.finished_at.timestamp() * 1000),
    )
    assert run.data.params["seeds"] == "[0, 1, 2]"
    assert run.data.params["student.model.name"] == "mlp"
    expected = ledger_curves(database, job_id)
    assert len(expected) == 3 * len(STAGES)
    assert history(mlflow_server, run.info.run_id, [*expected]) == expected
    student = PASSED.student
    assert run.data.metrics["verdict/student/accuracy"] == student.score.mean
    assert run.data.metrics["verdict/student/parameters"] == student.parameters
    assert run.data.metrics["gates_passed"] == 1
    tags = run.data.tags
    assert tags["mlflow.note.content"] == PASSED.sentence
    assert (tags["label.stage"], tags["stillhouse.outcome"]) == ("prod", PASSED.outcome)
    assert tags["stillhouse.not_copied"] == "teacher.safetensors"
    assert digests(mlflow_server, run.info.run_id, tmp_path / "fetched") == COPIED
    assert not [*(settings.data / "mlflow").iterdir()]
    client = mlflow_server.client()
    model = settings.mlflow_model.replace("{project}", "default") + ".edge-one"
    version = client.get_model_version_by_alias(model, "candidate")
    assert (row.model, row.version) == (model, str(version.version))
    assert (version.run_id, version.description) == (run.info.run_id, PASSED.sentence)
    assert version.source == f"{run.info.artifact_uri}/student"
    assert version.tags["stillhouse.sha256"] == COPIED["student/student.safetensors"]
    assert (mirrored(database).told, mirrored(database).waiting) == (1, 0)


@ON_SQLITE
def test_other_ends_are_told_truly_and_make_no_version(
    database: Database, settings: Settings, mlflow_server: MlflowServer, worker: StageWorker
) -> None:
    watch(database)
    missed = submit(database)
    worker.begin()
    worker.start()
    worker.train(0)
    worker.succeed(deliver(worker), verdict())
    failed = submit(database)
    worker.begin()
    worker.fail("data_invalid", "there is no label 7")
    waiting = submit(database)
    deleted = submit(database)
    with database.write() as session:
        Repository(session).request_cancel(waiting)
    with mirroring(settings, database):
        for job_id, status in ((missed, "FINISHED"), (failed, "FAILED"), (waiting, "KILLED")):
            told(database, job_id, status)
            assert the_run(mlflow_server, settings, job_id).info.status == status
        run = the_run(mlflow_server, settings, missed)
        assert run.data.metrics["gates_passed"] == 0
        assert "missed: retention >= 0.99, found 0.97" in run.data.tags["stillhouse.gates"]
        models = mlflow_server.client().search_registered_models(
            f"name LIKE '{settings.mlflow_model.replace('{project}', '%')}'"
        )
        assert not [*models]
        run = the_run(mlflow_server, settings, failed)
        assert run.data.tags["stillhouse.failure"] == "data_invalid"
        assert run.data.tags["mlflow.note.content"] == "there is no label 7"
        # A retry goes on in the same run, and a deletion ends it.
        assert worker.begin().job_id == deleted
        with database.write() as session:
            Repository(session).retry(failed)
        wait_until(lambda: _status(mlflow_server, settings, failed) == "RUNNING")
        with database.write() as session:
            Repository(session).delete(failed)
            Repository(session).delete(missed)
        wait_until(lambda: row_of(database, failed) is None and row_of(database, missed) is None)
    assert _status(mlflow_server, settings, failed) == "KILLED"
    assert _status(mlflow_server, settings, missed) == "FINISHED"
    assert the_run(mlflow_server, settings, failed).data.tags["stillhouse.status"] == "deleted"


def _status(server: MlflowServer, settings: Settings, job_id: str) -> str:
    return str(the_run(server, settings, job_id).info.status)


@ON_SQLITE
def test_an_mlflow_that_is_down_and_killed_in_the_middle_loses_and_doubles_nothing(
    database: Database,
    settings: Settings,
    mlflow_server: MlflowServer,
    worker: StageWorker,
    tmp_path: Path,
) -> None:
    mlflow_server.kill()
    with mirroring(settings, database):
        job_id = submit(database)
        worker.begin()
        worker.start()
        worker.train(0)
        wait_until(lambda: mirrored(database).failing)
        row = row_of(database, job_id)
        assert row is not None
        assert row.run_id is None
        assert row.error is not None
        mlflow_server.start()
        make_due(database)
        wait_until(lambda: getattr(row_of(database, job_id), "position", None))
        worker.train(1)
        mlflow_server.kill()
        worker.train(2)
        worker.succeed(deliver(worker), PASSED)
        wait_until(lambda: mirrored(database).failing)
        mlflow_server.start()
        wait_until(lambda: make_due(database) or mirrored(database).waiting == 0, seconds=60)
    run = the_run(mlflow_server, settings, job_id)
    expected = ledger_curves(database, job_id)
    assert history(mlflow_server, run.info.run_id, [*expected]) == expected
    assert run.info.status == "FINISHED"
    assert digests(mlflow_server, run.info.run_id, tmp_path / "fetched") == COPIED


@ON_SQLITE
def test_a_mirror_that_is_killed_after_any_step_leaves_one_run_without_a_point_twice(
    database: Database,
    settings: Settings,
    mlflow_server: MlflowServer,
    worker: StageWorker,
    tmp_path: Path,
) -> None:
    watch(database)
    job_id = submit(database)
    worker.begin()
    worker.start()
    for place in STAGES:
        worker.train(place)
    worker.succeed(deliver(worker), PASSED)
    environment = {
        "STILLHOUSE_DATABASE_URL": settings.database_url,
        "STILLHOUSE_DATA": str(settings.data),
        "STILLHOUSE_MLFLOW_URL": settings.mlflow_url,
        "STILLHOUSE_MLFLOW_EXPERIMENT": settings.mlflow_experiment,
        "STILLHOUSE_MLFLOW_MODEL": settings.mlflow_model,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    program = Path(__file__).with_name("mirroring_killed.py")
    steps = ["create_run", "tell_points", "copy", "register", "end"]
    command = [sys.executable, program, *steps]
    subprocess.run(command, env=os.environ | environment, timeout=120, check=True)
    with mirroring(settings, database):
        wait_until(lambda: make_due(database) or mirrored(database).waiting == 0, seconds=60)
    run = the_run(mlflow_server, settings, job_id)
    expected = ledger_curves(database, job_id)
    assert history(mlflow_server, run.info.run_id, [*expected]) == expected
    ends = [key for key in run.data.metrics if key.startswith(("verdict/", "gate"))]
    assert {len(points) for points in history(mlflow_server, run.info.run_id, ends).values()} == {1}
    assert run.info.status == "FINISHED"
    assert digests(mlflow_server, run.info.run_id, tmp_path / "fetched") == COPIED
    model = settings.mlflow_model.replace("{project}", "default")
    versions = mlflow_server.client().search_model_versions(f"name = '{model}'")
    assert [(one.run_id, str(one.version)) for one in versions] == [(run.info.run_id, "1")]


@ON_SQLITE
def test_a_run_that_somebody_has_deleted_there_is_left_alone(
    database: Database, settings: Settings, mlflow_server: MlflowServer, worker: StageWorker
) -> None:
    with mirroring(settings, database):
        job_id = submit(database)
        worker.begin()
        wait_until(lambda: getattr(row_of(database, job_id), "told", None))
        run = the_run(mlflow_server, settings, job_id)
        mlflow_server.client().delete_run(run.info.run_id)
        worker.fail("failed", "it did not work")
        row = told(database, job_id)
    assert "deleted in MLflow" in (row.error or "")
    with database.read() as session:
        assert Repository(session).get(job_id).status == Status.FAILED
