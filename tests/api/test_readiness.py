"""/readyz is red for what is really missing, and never waits for what gives no answer."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from specs import claim, submit
from waiting import wait_until

from api import readiness
from api.app import create_app
from jobs.database import Database
from jobs.repository import Repository
from jobs.settings import Settings

HOST = "http://localhost"


@pytest.fixture
def impatient(settings: Settings) -> Settings:
    return settings.model_copy(update={"lease_seconds": 0.6, "sweep_seconds": 0.05})


def red(client: TestClient) -> dict[str, str]:
    response = client.get("/readyz")
    return {one["parameter"]: one["message"] for one in response.json().get("errors", [])}


def test_a_house_whose_only_worker_died_has_its_leases_swept_by_the_api(
    impatient: Settings, database: Database
) -> None:
    with TestClient(create_app(impatient), base_url=HOST) as client:
        job_id = submit(database)
        claim(database, "a-worker-that-is-gone", lease=0.1)
        status = lambda: client.get(f"/v1/jobs/{job_id}").json()["status"]  # noqa: E731
        wait_until(lambda: status() == "queued", seconds=20)
        (attempt,) = client.get(f"/v1/jobs/{job_id}/attempts").json()["data"]
        assert (attempt["status"], attempt["reason"]) == ("lost", "lost")
        text = client.get("/metrics").text
        assert "stillhouse_leases_lost_total 1.0" in text
        assert "stillhouse_last_sweep_timestamp_seconds" in text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_sweeper_that_comes_no_more_is_red(
    impatient: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a sweeper that fails")

    monkeypatch.setattr("jobs.sweeper.Sweeper.sweep", broken)
    named = impatient.model_copy(update={"lease_seconds": 6.0})
    with TestClient(create_app(named), base_url=HOST) as client:
        assert red(client) == {}, "it has only just begun"
        wait_until(lambda: "sweeper" in red(client), seconds=60)
        assert client.get("/livez").status_code == 200
        with database.write() as session:
            Repository(session).note_sweep("another one, elsewhere")
        assert red(client) == {}
        wait_until(lambda: "last sweep" in red(client).get("sweeper", ""), seconds=60)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_data_folder_is_red(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with TestClient(create_app(settings), base_url=HOST) as client:
        monkeypatch.setattr(readiness, "LEAST_FREE_BYTES", 1 << 60)
        assert "MiB are free" in red(client)["data"]


@pytest.fixture
def silence() -> Generator[threading.Event]:
    given = threading.Event()
    yield given
    given.set()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_gives_no_answer_is_red_and_takes_one_thread_alone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, silence: threading.Event
) -> None:
    asked: list[int] = []

    def wait(_: object) -> tuple[str, str]:
        asked.append(1)
        silence.wait()
        return "x", "x"

    monkeypatch.setattr(readiness, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(readiness, "schema_revision", wait)
    with TestClient(create_app(settings), base_url=HOST) as client:
        for _ in range(3):
            assert "no answer" in red(client)["database"]
        assert asked == [1]
        silence.set()
        wait_until(lambda: "database" not in red(client))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_newer_schema_is_told_and_not_red(settings: Settings, tmp_path: Path) -> None:
    with TestClient(create_app(settings), base_url=HOST) as client:
        file = settings.database_url.removeprefix("sqlite:///")
        with sqlite3.connect(file) as ledger:
            ledger.execute("UPDATE alembic_version SET version_num = '9999'")
        ledger.close()
        (told,) = [
            check["detail"]
            for check in client.get("/readyz").json()["checks"]
            if check["name"] == "database"
        ]
        assert "schema 9999; this version was written for 0" in told
