"""The operator and the sensor for Airflow, in Airflow itself, against a real house."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import pytest
from hosts import hosts_python
from running import ROOT, running_house
from stillhouse import Client
from waiting import wait_until

from jobs.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # with the installation

HERE = Path(__file__).parent
EXAMPLE = ROOT / "examples" / "pipelines" / "airflow"


@dataclass
class Stage:
    """Airflow in a process of its own."""

    process: subprocess.Popen[str]
    log: Path

    def ask(self, **what: Any) -> dict[str, Any]:
        """Have something done, and return the answer."""
        asks, answers = self._ends()
        asks.write(f"{json.dumps(what)}\n")
        asks.flush()
        answer = answers.readline()
        assert answer, self.log.read_text()[-4000:]
        return json.loads(answer)

    def _ends(self) -> tuple[IO[str], IO[str]]:
        assert self.process.stdin
        assert self.process.stdout
        return self.process.stdin, self.process.stdout


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Generator[Client]:
    """Give a client of a house in operation."""
    folder = tmp_path_factory.mktemp("house")
    with running_house(Settings(data=folder / "data"), folder) as client:
        yield client


@pytest.fixture(scope="module")
def airflow(house: Client, tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """Give an Airflow with our plugin, the example's DAG and the cases'."""
    home, python = tmp_path_factory.mktemp("airflow"), hosts_python()
    (home / "plugins").mkdir()
    (home / "dags").mkdir()
    shutil.copy(EXAMPLE / "stillhouse_airflow.py", home / "plugins")
    for file in (EXAMPLE / "distil_dag.py", EXAMPLE / "student.yaml", HERE / "airflow_cases.py"):
        shutil.copy(file, home / "dags")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STILLHOUSE")}
    environment = kept | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW_CONN_STILLHOUSE": json.dumps({"conn_type": "http", "host": house.url}),
        "STILLHOUSE_URL": house.url,  # of the tasks that name no connection
        "PYTHONPATH": str(ROOT / "client"),
    }
    log = home / "airflow.log"
    with log.open("w") as said:
        subprocess.run(
            [python, "-m", "airflow", "db", "migrate"], env=environment, stdout=said, check=True
        )
        process = subprocess.Popen(
            [python, HERE / "airflow_stage.py"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
        with process:
            yield Stage(process, log)
            process.terminate()


def test_the_page_shows_the_example() -> None:
    page = (ROOT / "docs" / "pipelines.md").read_text()
    (shown,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert shown in (EXAMPLE / "distil_dag.py").read_text()


def test_a_task_whose_job_was_cancelled_goes_on_when_cleared_and_hands_on_what_came_out(
    house, airflow
) -> None:
    with ThreadPoolExecutor() as pool:
        running = pool.submit(airflow.ask, dag="distil", run=1)
        (job,) = wait_until(lambda: house.list(status="running")["data"], seconds=120)
        house.cancel(job["id"])
        task = running.result()["tasks"]["distil"]
    # An Airflow that tried again by itself would fight with whoever cancels.
    assert (task["state"], task["try"], task["xcom"]) == ("failed", 1, {"job": job["id"]})
    ran = airflow.ask(dag="distil", run=1)
    assert ran["state"] == "success", airflow.log.read_text()[-4000:]
    told, ended = ran["tasks"]["distil"]["xcom"], house.get(job["id"])
    assert (told["job"], told["outcome"]) == (job["id"], ended["outcome"])
    assert told["verdict"] == ended["verdict"]["sentence"]
    assert "</html>" in httpx.get(told["report"]).text
    assert ran["tasks"]["publish"]["xcom"] == {"return_value": f"{job['id']} {ended['outcome']}"}
    assert "Pausing task as DEFERRED" in airflow.log.read_text()
    assert airflow.ask(dag="distil", run=1)["tasks"]["distil"]["xcom"] == told
    assert len(house.list()["data"]) == 1


def test_each_mapped_task_has_its_job_and_missed_gates_fail_it_without_another_try(
    house, airflow
) -> None:
    ran = airflow.ask(dag="gates", run=1)
    good, missed = ran["tasks"]["distil[0]"], ran["tasks"]["distil[1]"]
    assert (good["state"], missed["state"], missed["try"]) == ("success", "failed", 1)
    job = house.get(missed["xcom"]["job"])
    assert missed["xcom"] == {"job": job["id"]} != {"job": good["xcom"]["job"]}
    found = job["verdict"]["student"]["score"]["mean"]
    log = airflow.log.read_text()
    assert f"gates not met: student.accuracy >= 1 (found {found})" in log
    assert job["verdict"]["sentence"] in log
    told = {"job": good["xcom"]["job"], "missed": job["id"]}
    waited = airflow.ask(dag="following", run=1, conf=told)["tasks"]
    assert waited["wait"]["xcom"]["return_value"] == good["xcom"]["return_value"]
    assert waited["skip"]["state"] == "skipped"


def test_a_triggerer_that_starts_again_goes_on_waiting_through_a_pause_and_cancels_nothing(
    house, airflow
) -> None:
    spec = {
        "teacher": "mlp",
        "student": "mlp",
        "data": "digits",
        "training": {"max_steps": 200_000},
    }
    job = house.submit(spec)["id"]
    assert airflow.ask(restart=job) == {
        "cut": "CancelledError",
        "status": "paused",
        "fired": False,
        "not owned": False,
        "event": {"job": job},
        "ended": "cancelled",
    }


def test_a_spec_that_is_refused_fails_its_task_without_another_try(airflow) -> None:
    task = airflow.ask(dag="refused", run=1)["tasks"]["distil"]
    assert (task["state"], task["try"]) == ("failed", 1)
    assert "/method" in airflow.log.read_text()
