"""A real job of a real worker in a real MLflow."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from mirrors import digests, history, ledger_curves
from mlflow_server import MlflowServer
from running import running_house
from stillhouse import Client
from waiting import wait_until

from jobs.database import Database, migrate
from jobs.settings import Settings

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "name": "digits",
    "teacher": {"model": {"name": "mlp", "hidden": [64]}},
    "student": {"model": {"name": "mlp", "hidden": [8]}},
    "data": {"name": "digits", "labelled": 100},
    "training": {"max_steps": 80},
    "seeds": [0, 1],
    "gates": ["student.accuracy >= 0.2"],
    "labels": {"registered-model": "digits"},
}


def test_a_job_that_passes_its_gates_ends_as_a_run_a_version_and_a_link(
    mlflow_server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data=tmp_path / "data", database_url=f"sqlite:///{tmp_path}/l.sqlite3")
    with Database(settings.database_url) as database:
        migrate(database)
    variables = {
        "STILLHOUSE_MLFLOW_URL": mlflow_server.url,
        "STILLHOUSE_MLFLOW_EXPERIMENT": "journey {project}",
        "STILLHOUSE_MLFLOW_MODEL": "journey-{project}",
        "STILLHOUSE_MLFLOW_ALIAS": "challenger",
    }
    with running_house(settings, tmp_path, **variables) as house:
        done = house.wait(house.submit(SPEC)["id"])
        assert done["gates_passed"] is True
        with Client(house.url) as client:
            told = wait_until(
                lambda: (one := client.mlflow_run(done["id"]))["status"] == "FINISHED" and one,
                seconds=60,
            )
        files = {one["name"]: one["sha256"] for one in house.artifacts(done["id"])}
        assert told["url"] in httpx.get(f"{house.url}/jobs/{done['id']}").text
    run = mlflow_server.client().get_run(told["run_id"])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "digits")
    assert run.data.params["training.max_steps"] == "80"
    verdict = done["verdict"]
    assert run.data.tags["mlflow.note.content"] == verdict["sentence"]
    assert run.data.metrics["verdict/student/accuracy"] == pytest.approx(
        verdict["student"]["score"]["mean"]
    )
    with Database(settings.database_url) as database:
        expected = ledger_curves(database, done["id"])
    some = [key for key in expected if key.startswith("student-0/")]
    assert some
    assert history(mlflow_server, told["run_id"], some) == {key: expected[key] for key in some}
    copied = digests(mlflow_server, told["run_id"], tmp_path / "fetched")
    assert {path.rpartition("/")[2]: digest for path, digest in copied.items()} == {
        name: digest for name, digest in files.items() if not name.startswith("teacher")
    }
    student = {path for path in copied if path.startswith("student/")}
    assert student >= {"student/student.safetensors", "student/student.onnx", "student/config.json"}
    import mlflow

    version = mlflow_server.client().get_model_version_by_alias(
        "journey-default.digits", "challenger"
    )
    assert (version.run_id, str(version.version)) == (told["run_id"], told["version"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    served = mlflow.artifacts.download_artifacts(
        "models:/journey-default.digits@challenger",
        dst_path=str(tmp_path / "fetched"),
    )
    weights = (Path(served) / "student.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == files["student.safetensors"]
    assert not (settings.data / "mlflow").exists() or not [*(settings.data / "mlflow").iterdir()]
