"""Workers over the API: told, and told to drain."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from doors import Doors
from fastapi.testclient import TestClient
from stage_worker import StageWorker

from jobs.database import Database
from jobs.repository import Repository
from worker import machine

DRAIN = "/v1/workers/stage-worker/drain"


def claims(database: Database) -> bool:
    with database.write() as session:
        return Repository(session).claim("stage-worker", 60) is not None


def test_a_drained_worker_is_told_and_takes_no_job(
    client: TestClient, submit: Callable[..., str], worker: StageWorker, database: Database
) -> None:
    worker.greet()
    submit()
    answer = client.post(DRAIN)
    told = answer.json()
    assert (answer.status_code, told["id"], told["draining"]) == (202, "stage-worker", "finish")
    assert not claims(database)
    assert client.get("/v1/workers").json()["data"] == [told]
    metrics = client.get("/metrics").text
    assert "stillhouse_workers 0.0" in metrics
    assert "stillhouse_worker_slots 0.0" in metrics
    assert "No worker is running" in client.get("/").text


def test_the_page_of_workers_tells_what_each_computes_with(
    client: TestClient, worker: StageWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.greet(machine.about())
    assert "CPU cores" in client.get("/workers").text
    monkeypatch.setattr(machine, "gpus", lambda: ["NVIDIA H200", "NVIDIA H200"])
    worker.greet(machine.about())
    answer = client.get("/workers")
    assert answer.status_code == 200, answer.text
    assert "NVIDIA H200, NVIDIA H200" in answer.text


def test_asking_again_changes_nothing_and_save_is_stronger(
    client: TestClient, worker: StageWorker
) -> None:
    worker.greet()
    asked = [{}, {"mode": "finish"}, {"mode": "save"}, {"mode": "finish"}]
    told = [client.post(DRAIN, json=body).json() for body in asked]
    assert len({one["draining_since"] for one in told}) == 1
    assert [one["draining"] for one in told] == ["finish", "finish", "save", "save"]


@pytest.mark.parametrize("worker_id", ["nobody", "x" * 129, "x" * 5000, "a%00b", "%F0%9F%94%94"])
def test_who_is_not_there_cannot_be_told(client: TestClient, worker_id: str) -> None:
    answer = client.post(f"/v1/workers/{worker_id}/drain")
    body = answer.json()
    assert (answer.status_code, body["code"]) == (404, "worker_not_found")
    assert "GET /v1/workers" in body["hint"]
    assert len(body["detail"]) < 700


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({"mode": "now"}, "/mode"), ({"mode": None}, "/mode"), ({"after": 5}, "/after")],
)
def test_what_no_drain_can_be_is_said(
    client: TestClient, worker: StageWorker, body: dict[str, object], pointer: str
) -> None:
    worker.greet()
    answer = client.post(DRAIN, json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    (told,) = client.get("/v1/workers").json()["data"]
    assert told["draining"] is None


def test_the_audit_says_who_drained_it(doors: Doors, worker: StageWorker) -> None:
    worker.greet()
    doors.ask("house", "post", DRAIN, json={"mode": "save"})
    doors.ask("house", "post", "/v1/workers/nobody/drain")
    (line,) = doors.ask("house", "get", "/v1/audit?subject=stage-worker").json()["data"][:1]
    assert (line["action"], line["details"], line["project"]) == (
        "worker.drain",
        {"mode": "save"},
        None,
    )
    assert line["key_id"] == doors.keys["house"][4:16]
    assert doors.ask("house", "get", "/v1/audit?subject=nobody").json()["data"] == []
