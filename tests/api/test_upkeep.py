"""A job changed, deleted, and kept for as long as the settings say."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from stage_worker import StageWorker
from waiting import wait_until

from jobs.clearing import Clearing
from jobs.database import Database
from jobs.moments import clock
from jobs.settings import Settings
from jobs.tables import Job

MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
UNKNOWN = "/v1/jobs/job_0123456789abcdefghjkmnpqrs"
Submit = Callable[..., str]


def test_name_labels_and_priority_are_changed_by_a_merge_patch(
    client: TestClient, submit: Submit
) -> None:
    path = f"/v1/jobs/{submit(name='old', labels={'team': 'a', 'env': 'ci'})}"
    patch = {"name": None, "labels": {"env": None, "k.e/y": "x"}, "priority": 99}
    for _ in range(2):
        changed = client.patch(path, json=patch, headers=MERGE_PATCH)
        assert changed.status_code == 200, changed.text
        job = changed.json()
        assert (job["name"], job["priority"]) == (None, 99)
        assert job["labels"] == {"team": "a", "k.e/y": "x"}
    assert client.get(path).json() == job
    assert client.get("/v1/jobs", params={"label": "k.e/y=x"}).json()["data"]
    assert client.get("/v1/jobs", params={"label": "env"}).json()["data"] == []
    events = client.get(f"{path}/events").json()["data"]
    assert [event["type"] for event in events] == ["job.queued", "job.changed"]
    assert client.patch(path, json={"labels": None}).json()["labels"] == {}
    assert client.patch(path, json={"priority": None}).json()["priority"] == 50


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"labels": {"a b": "x"}}, "/labels/a b"),
        ({"labels": {"a": 1}}, "/labels/a"),
        ({"labels": {f"k{place}": "x" for place in range(17)}}, "/labels"),
        ({"labels": "x"}, "/labels"),
        ({"name": "two\nlines"}, "/name"),
        ({"name": ""}, "/name"),
        ({"priority": 101}, "/priority"),
        ({"seeds": [1]}, "/seeds"),
        ({"status": "succeeded"}, "/status"),
        ([], ""),
    ],
    ids=str,
)
def test_a_change_that_cannot_be_points_at_its_place_and_changes_nothing(
    client: TestClient, submit: Submit, patch: object, pointer: str
) -> None:
    path = f"/v1/jobs/{submit(name='old')}"
    before = client.get(path).content
    refused = client.patch(path, json=patch, headers=MERGE_PATCH)
    assert refused.status_code == 422, refused.text
    assert pointer in {error["pointer"] for error in refused.json()["errors"]}
    assert client.get(path).content == before


def test_the_priority_of_a_running_job_is_409_and_its_name_is_not(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    path = f"/v1/jobs/{submit()}"
    worker.begin()
    assert client.patch(path, json={"name": "x", "priority": 50}).status_code == 200
    refused = client.patch(path, json={"name": "y", "priority": 51})
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_transition")
    assert "pause" in refused.json()["hint"]
    assert client.get(path).json()["name"] == "x"


def test_changes_at_the_same_moment_are_all_kept(client: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()}"
    together = threading.Barrier(6)

    def change(place: int) -> int:
        together.wait()
        return client.patch(path, json={"labels": {f"k{place}": "x"}}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(change, range(6))) == [200] * 6
    assert client.get(path).json()["labels"] == {f"k{place}": "x" for place in range(6)}


def routes_of(client: TestClient, job_id: str) -> list[tuple[str, str]]:
    """Return method and path of everything that can be asked about one job."""
    prefix = "/v1/jobs/{job_id}"
    return [
        (method.upper(), path.format(job_id=job_id, name="student.onnx"))
        for path, operations in client.get("/openapi.json").json()["paths"].items()
        if path.startswith(prefix)
        for method in operations
    ]


def test_a_deleted_job_is_410_wherever_it_is_asked_for(
    client: TestClient, submit: Submit, worker: StageWorker, settings: Settings
) -> None:
    job_id = submit()
    path = f"/v1/jobs/{job_id}"
    worker.begin()
    refused = client.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "illegal_transition")
    assert refused.json()["hint"] == "legal now: cancel, pause, clone"
    worker.fail("nan_loss", "NaN")
    client.post(f"{path}/retry")
    worker.play({"student.onnx": b"content"})
    assert (settings.artifacts / job_id).exists()
    for _ in range(2):
        gone = client.delete(path)
        assert (gone.status_code, gone.content) == (204, b"")
    wait_until(lambda: not (settings.artifacts / job_id).exists(), seconds=5)
    assert client.get("/v1/jobs").json()["data"] == []
    asked = routes_of(client, job_id)
    assert len(asked) >= 14
    documented = client.get("/openapi.json").json()["paths"]
    for method, where in asked:
        body = {"content": "{}", "headers": {"Content-Type": "application/json"}}
        answer = client.request(method, where, **(body if method in {"POST", "PATCH"} else {}))
        if method == "DELETE":
            assert answer.status_code == 204
            continue
        assert (answer.status_code, answer.json()["code"]) == (410, "job_deleted"), where
        assert answer.headers["content-type"] == "application/problem+json"
        assert "was deleted at" in answer.json()["detail"]
        template = where.replace(job_id, "{job_id}").replace("student.onnx", "{name}")
        assert "410" in documented[template][method.lower()]["responses"], where
    page = client.get(f"/jobs/{job_id}", headers={"Accept": "text/html"})
    assert (page.status_code, "was deleted" in page.text) == (410, True)


def test_a_job_that_never_was_is_404_wherever_it_is_asked_for(client: TestClient) -> None:
    for method, where in routes_of(client, UNKNOWN.rpartition("/")[2]):
        body = {"content": "{}", "headers": {"Content-Type": "application/json"}}
        answer = client.request(method, where, **(body if method in {"POST", "PATCH"} else {}))
        assert answer.status_code == 404, (method, where)


def test_a_stream_ends_when_its_job_is_deleted(client: TestClient, submit: Submit) -> None:
    path = f"/v1/jobs/{submit()}"
    with ThreadPoolExecutor(1) as pool:
        headers = {"Accept": "text/event-stream"}
        stream = pool.submit(client.get, f"{path}/events", headers=headers)
        wait_until(lambda: "stillhouse_event_streams 1.0" in client.get("/metrics").text)
        client.delete(path)
        assert "job.queued" in stream.result(timeout=20).text


def test_files_of_an_old_job_are_410_and_the_rest_of_it_stays(
    client: TestClient,
    database: Database,
    submit: Submit,
    worker: StageWorker,
    settings: Settings,
) -> None:
    path = f"/v1/jobs/{submit()}"
    worker.play({"student.onnx": b"content", "report.md": b"# x"})
    with database.write() as session:
        session.execute(update(Job).values(finished_at=clock(-8 * 86_400)))
    kept = settings.model_copy(update={"retention_days": 7.0})
    Clearing(kept, database, client.app.state.house.store).run()  # type: ignore[attr-defined]
    for where in (
        "artifacts",
        "artifacts/student.onnx",
        "artifacts.zip",
        "SHA256SUMS",
        "report.md",
    ):
        gone = client.get(f"{path}/{where}")
        assert (gone.status_code, gone.json()["code"]) == (410, "artifacts_purged"), where
        assert "clone" in gone.json()["hint"]
    job = client.get(path).json()
    assert job["artifacts_purged_at"] is not None
    assert job["verdict"]["outcome"] == "beats"
    assert client.get(f"{path}/metrics").json()["points"] > 0
    assert client.get(f"{path}/report").json()["artifacts"] == []
    assert "this server keeps none for longer" in client.get(f"/jobs/{job['id']}").text
    assert client.post(f"{path}/clone").status_code == 201
