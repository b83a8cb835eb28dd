"""A house that mirrors its jobs in MLflow says how far that is, and says no credentials."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from doors import Doors
from fastapi.testclient import TestClient
from serving import SPEC
from sqlalchemy import insert, update
from stage_worker import StageWorker
from waiting import wait_until

from api.__main__ import EXIT_USAGE
from api.app import create_app
from jobs.database import Database
from jobs.mirroring import new_run
from jobs.mlflow_tables import MlflowRun
from jobs.settings import Settings

ADDRESS = "http://operator:hunter2-of-mlflow@127.0.0.1:9/base"
RUN = "http://127.0.0.1:9/base/#/experiments/7/runs/abc"


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Give settings of a house whose MLflow is away."""
    if "client" not in request.fixturenames:
        return settings
    return settings.model_copy(update={"mlflow_url": ADDRESS})


@pytest.fixture
def record(database: Database) -> Callable[..., None]:
    """Give a function that changes all rows, as telling would."""

    def change(**values: object) -> None:
        with database.write() as session:
            session.execute(update(MlflowRun).values(**values))

    return change


def test_an_mlflow_that_is_away_hinders_nobody_and_is_told(
    client: TestClient,
    submit: Callable[..., str],
    worker: StageWorker,
    record: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    job_id = submit(name="a job")
    here = f"/v1/jobs/{job_id}/mlflow"
    assert client.get(here).json()["code"] == "mlflow_run_not_found"
    worker.begin()
    assert client.get(here).json()["state"] in {"waiting", "failing"}
    wait_until(lambda: client.get(here).json()["state"] == "failing")
    told = client.get(here).json()
    assert (told["job"], told["run_id"], told["url"], told["status"]) == (job_id, None, None, None)
    assert "127.0.0.1" in told["error"]
    ready = client.get("/readyz")
    assert ready.status_code == 200
    (check,) = [one for one in ready.json()["checks"] if one["name"] == "mlflow"]
    assert (check["ok"], check["detail"][:17]) == (True, "1 jobs could not ")
    assert 'stillhouse_mlflow_runs{state="failing"} 1.0' in client.get("/metrics").text
    (warned,) = [one for one in caplog.records if one.name == "jobs.mirror"]
    assert job_id in warned.getMessage()
    assert "run in MLflow" not in client.get(f"/jobs/{job_id}").text
    record(experiment_id="7", run_id="abc", told="RUNNING", next_at=None)
    told = client.get(here).json()
    assert (told["state"], told["url"], told["status"]) == ("told", RUN, "RUNNING")
    assert f'<a href="{RUN}">run in MLflow</a>' in client.get(f"/jobs/{job_id}").text
    for text in (client.get(here).text, ready.text, caplog.text):
        assert "hunter2" not in text


def test_a_projects_key_sees_its_own_runs_and_no_error_of_the_operators(
    doors: Doors, database: Database, record: Callable[..., None]
) -> None:
    job_id = doors.ask("writer", "POST", "/v1/jobs", json=SPEC).json()["id"]
    with database.write() as session:
        session.execute(insert(MlflowRun).values(new_run(job_id)))
    record(error="http://mlflow.internal said no", failures=1)
    here = f"/v1/jobs/{job_id}/mlflow"
    told = doors.ask("reader", "GET", here).json()
    assert (told["state"], told["error"]) == ("failing", None)
    assert "said no" in doors.ask("house", "GET", here).json()["error"]
    assert doors.ask("vision", "GET", here).status_code == 404


@pytest.mark.slow
def test_a_house_without_the_client_says_so_at_its_start(tmp_path: Path) -> None:
    words = (
        "import sys; sys.modules['mlflow'] = None; from api.__main__ import main; sys.exit(main())"
    )
    variables = {"STILLHOUSE_MLFLOW_URL": ADDRESS, "STILLHOUSE_DATA": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", words, "--port", "0"],
        env=os.environ | variables | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == EXIT_USAGE
    assert "there is no package mlflow" in ended.stderr
    assert "pip install 'stillhouse-server[mlflow]'" in ended.stderr


def test_a_house_that_mirrors_nothing_loads_nothing(settings: Settings) -> None:
    app = create_app(settings)
    app.state.house.open()
    with TestClient(app, base_url="http://localhost") as inside:
        assert "mlflow" not in {one["name"] for one in inside.get("/readyz").json()["checks"]}
        assert "stillhouse_mlflow_runs" not in inside.get("/metrics").text
