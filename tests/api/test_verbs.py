"""Pause, resume and retry over HTTP, each of it once or twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from stage_worker import StageWorker

from jobs.database import Database
from jobs.endings import PAUSED, Ending
from jobs.repository import Repository

Submit = Callable[..., str]


def let_go(database: Database, worker: StageWorker) -> None:
    """End the attempt as a worker does that has heard of a pause."""
    with database.write() as session:
        Repository(session).release(
            worker.claimed.job_id,
            worker.claimed.attempt,
            Ending(PAUSED, exit_code=75),
            counted=False,
            retry_seconds=0,
        )


def test_a_waiting_job_is_paused_at_once_and_resumed(client: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()}"
    for _ in range(2):
        paused = client.post(f"{path}/pause")
        assert (paused.status_code, paused.json()["status"]) == (200, "paused")
        assert paused.json()["terminal"] is False
    assert client.get("/v1/queue").json()["counts"]["paused"] == 1
    for _ in range(2):
        resumed = client.post(f"{path}/resume")
        assert (resumed.status_code, resumed.json()["status"]) == (202, "queued")


def test_a_running_job_is_pausing_until_its_worker_lets_go(
    client: TestClient, database: Database, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit()}"
    worker.begin()
    worker.start()
    for _ in range(2):
        pausing = client.post(f"{path}/pause")
        assert (pausing.status_code, pausing.json()["status"]) == (202, "pausing")
    let_go(database, worker)
    job = client.get(path).json()
    assert (job["status"], job["worker"], job["phase"], job["failure"]) == ("paused",) + (None,) * 3
    (attempt,) = client.get(f"{path}/attempts").json()["data"]
    assert (attempt["status"], attempt["exit_code"]) == ("paused", 75)
    assert client.post(f"{path}/resume").json()["status"] == "queued"
    assert worker.begin().resume_from == [1]


def test_a_pausing_job_that_is_resumed_runs_on(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit()}"
    worker.begin()
    client.post(f"{path}/pause")
    for _ in range(2):
        resumed = client.post(f"{path}/resume")
        assert (resumed.status_code, resumed.json()["status"]) == (202, "running")


def test_a_long_poll_and_a_page_tell_of_a_pause(
    client: TestClient, database: Database, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit()}"
    worker.begin()
    worker.start()
    worker.train(0, until=0.5)
    client.post(f"{path}/pause")
    page = f"/jobs/{worker.claimed.job_id}"
    assert "the trainer finishes its step and saves" in client.get(page).text
    tag = client.get(path).headers["etag"]
    with ThreadPoolExecutor(1) as pool:
        headers = {"If-None-Match": tag, "Prefer": "wait=30"}
        waiting = pool.submit(client.get, path, headers=headers)
        let_go(database, worker)
        assert waiting.result(timeout=20).json()["status"] == "paused"
    text = client.get(page).text
    assert "Paused at 5 %" in text
    assert "goes on from its checkpoint" in text
    assert "running for" not in text
    client.post(f"{path}/resume")
    assert "Resumed: it goes on from its checkpoint" in client.get(page).text


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_has_ended_can_be_neither_paused_nor_resumed(
    client: TestClient, submit: Submit, worker: StageWorker, verb: str
) -> None:
    path = f"/v1/jobs/{submit()}"
    worker.begin()
    worker.fail("nan_loss", "NaN")
    refused = client.post(f"{path}/{verb}")
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_transition")
    assert refused.json()["hint"] == "legal now: retry, clone, delete"
    assert refused.headers["x-should-retry"] == "false"


def test_a_retry_may_bring_more_time_and_can_be_repeated(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit(max_runtime_seconds=60)}"
    worker.begin()
    worker.fail("deadline_exceeded", "its time was over")
    for _ in range(2):
        retried = client.post(f"{path}/retry", json={"max_runtime_seconds": 600})
        assert (retried.status_code, retried.json()["max_runtime_seconds"]) == (202, 600)
    bad = client.post(f"{path}/retry", json={"max_runtime_seconds": 0})
    assert bad.status_code == 422
    assert bad.json()["errors"][0]["pointer"] == "/max_runtime_seconds"
