"""Probes, Prometheus, the catalogue, the OpenAPI document, and what is said of what is away."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from servers import Redis
from stage_worker import StageWorker
from waiting import wait_until

from api import VERSION, problems
from api.app import create_app
from jobs import errors as ledger
from jobs.database import Database
from jobs.endings import REASONS, Ending
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.states import CLIENT_VERBS
from kdcore import errors as engine
from worker import conclusion

ROOT = Path(__file__).parents[2]
SPEC = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}


def test_a_server_with_all_it_needs_is_alive_and_ready(client: TestClient) -> None:
    assert client.get("/livez").json() == {"status": "ok", "version": VERSION, "checks": []}
    ready = client.get("/readyz").json()
    assert [(check["name"], check["ok"]) for check in ready["checks"]] == [
        ("database", True),
        ("store", True),
        ("data", True),
        ("sweeper", True),
    ]
    assert client.head("/readyz").status_code == 200


def test_a_server_without_its_store_is_alive_and_not_ready(
    client: TestClient, settings: Settings
) -> None:
    settings.artifacts.rmdir()
    response = client.get("/readyz")
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert [error["parameter"] for error in response.json()["errors"]] == ["store"]
    assert response.headers["retry-after"]
    assert client.get("/livez").status_code == 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_broker_that_is_away_is_told_and_jobs_are_taken_all_the_same(
    settings: Settings, mortal_redis: Redis
) -> None:
    named = settings.model_copy(update={"broker_url": mortal_redis.url})
    with TestClient(create_app(named), base_url="http://localhost") as client:
        assert client.get("/readyz").status_code == 200
        mortal_redis.kill()
        response = client.get("/readyz")
        assert response.status_code == 503
        assert "broker" in response.json()["detail"]
        assert client.post("/v1/jobs", json=SPEC).status_code == 201


def test_a_locked_database_is_503_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.database.BUSY_MILLISECONDS", 100)
    settings = Settings(data=tmp_path)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        foreign = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
        foreign.execute("BEGIN IMMEDIATE")
        response = client.post("/v1/jobs", json=SPEC)
        assert (response.status_code, response.json()["code"]) == (503, "database_unavailable")
        assert response.headers["retry-after"] == "2"
        assert "SELECT" not in response.text
        assert client.get("/v1/jobs").status_code == 200
        foreign.execute("ROLLBACK")
        foreign.close()
        assert client.post("/v1/jobs", json=SPEC).status_code == 201


def test_a_database_that_went_away_is_503_and_metrics_tell_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        client.app.state.house.database.close()  # type: ignore[attr-defined]
        wait_until(lambda: _put_a_folder_in_its_place(tmp_path / "ledger.sqlite3"))
        assert client.get("/v1/jobs").status_code == 503
        assert client.get("/readyz").status_code == 503
        assert "stillhouse_database_up 0.0" in client.get("/metrics").text


def _put_a_folder_in_its_place(ledger: Path) -> bool:
    """Tell whether it lies there; the app's own sweeper may make the file anew at any moment."""
    for file in ledger.parent.glob(f"{ledger.name}*"):
        file.unlink()
    try:
        ledger.mkdir()
    except FileExistsError:
        return False
    return True


def test_what_nobody_foresaw_is_500_with_an_id_and_nothing_else(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr("jobs.repository.Repository.counts", broken)
    response = client.get("/v1/queue", headers={"X-Request-ID": "abc-1"})
    body = response.json()
    assert (response.status_code, body["code"], body["request_id"]) == (
        500,
        "internal_error",
        "abc-1",
    )
    assert "secret" not in response.text
    assert "request abc-1 failed" in caplog.text


def test_prometheus_reads_jobs_workers_and_requests(
    client: TestClient, submit: Callable[..., str], worker: StageWorker
) -> None:
    worker.greet()
    submit(name='evil"} 1')
    client.get("/v1/jobs/nope")
    client.get("/no/such/path")
    text = client.get("/metrics").text
    assert 'stillhouse_jobs{status="queued"} 1.0' in text
    assert 'stillhouse_jobs{status="failed"} 0.0' in text
    assert "stillhouse_workers 1.0" in text
    assert "stillhouse_jobs_submitted_total 1.0" in text
    labels = 'method="GET",route="/v1/jobs/{job_id}",status="404"'
    assert f"stillhouse_http_requests_total{{{labels}}} 1.0" in text
    assert 'route="unmatched",status="404"' in text
    assert "evil" not in text
    assert "nope" not in text


def test_the_exposition_is_what_prometheus_reads_with_conventional_names(
    client: TestClient, submit: Callable[..., str], worker: StageWorker, database: Database
) -> None:
    worker.greet()
    submit()
    worker.begin()
    with database.write() as session:
        Repository(session).release(
            worker.claimed.job_id,
            worker.claimed.attempt,
            Ending("a word of nobody's"),
            counted=False,
            retry_seconds=0,
        )
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    ours = {name: family for name, family in families.items() if name.startswith("stillhouse")}
    for name, family in ours.items():
        assert family.documentation, name
        assert re.fullmatch(r"stillhouse(_[a-z]+)*", name), name
        for sample in family.samples:
            counts = family.type == "counter"
            assert sample.name.endswith("_total") is counts, sample
            assert not counts or sample.value >= 0
    timed = [name for name, family in ours.items() if family.type == "histogram"]
    assert all(name.endswith("_seconds") for name in timed)
    assert set(timed) == {
        "stillhouse_queue_wait_seconds",
        "stillhouse_attempt_duration_seconds",
        "stillhouse_http_request_duration_seconds",
    }
    for name in timed:
        for sample in ours[name].samples:
            if sample.labels.get("le") == "+Inf":
                labels = {key: value for key, value in sample.labels.items() if key != "le"}
                (count,) = [
                    one.value
                    for one in ours[name].samples
                    if one.name == f"{name}_count" and one.labels == labels
                ]
                assert count == sample.value
    attempts = {one.labels["reason"]: one.value for one in ours["stillhouse_attempts"].samples}
    assert attempts == {"other": 1.0}
    durations = ours["stillhouse_attempt_duration_seconds"].samples
    assert {one.labels["outcome"] for one in durations} == {"failed"}
    (waits,) = [
        one.value
        for one in ours["stillhouse_queue_wait_seconds"].samples
        if one.name.endswith("_count")
    ]
    assert waits == 1.0
    assert ours["stillhouse_worker_slots"].samples[0].value == 1.0
    assert {"stillhouse_teacher_cache_bytes", "stillhouse_last_sweep_timestamp_seconds"} <= set(
        ours
    )


def test_no_client_can_make_a_label(client: TestClient, submit: Callable[..., str]) -> None:
    def labels() -> set[tuple[str, ...]]:
        families = text_string_to_metric_families(client.get("/metrics").text)
        return {
            (sample.name, *map(str, sample.labels.items()))
            for family in families
            for sample in family.samples
        }

    def visit(number: int) -> None:
        word = f"w{number}"
        submit(name=word, labels={word: word})
        client.get(f"/v1/jobs/{word}")
        client.get(f"/{word}", headers={"X-Request-ID": word, "User-Agent": word})
        client.request(word.upper(), "/v1/jobs")
        client.get("/v1/jobs", params={"status": word})
        client.get("/livez", headers={"Host": f"{word}.example"})
        client.get(f"/v1/methods/{word}")
        client.get("/v1/jobs", params={"label": word})

    visit(0)
    labels()
    before = labels()
    for number in range(1, 20):
        visit(number)
    assert labels() == before
    assert not any("w1" in word for sample in before for word in sample)


def test_every_word_that_an_attempt_can_end_with_is_known() -> None:
    words = {
        value
        for name, value in vars(conclusion).items()
        if name.isupper() and isinstance(value, str)
    }
    assert words <= REASONS
    assert conclusion.RETRYABLE <= REASONS


def test_workers_and_queue_are_told(
    client: TestClient, submit: Callable[..., str], worker: StageWorker
) -> None:
    worker.greet()
    submit()
    submit()
    worker.begin()
    (told,) = client.get("/v1/workers").json()["data"]
    assert (told["id"], told["slots"], told["alive"]) == ("stage-worker", 1, True)
    assert (told["draining"], told["draining_since"]) == (None, None)
    queue = client.get("/v1/queue").json()
    assert (queue["waiting"], queue["running"], queue["counts"]["failed"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("methods", "dkd"),
        ("objectives", "kd"),
        ("temperatures", "fixed"),
        ("weightings", "uniform"),
        ("paths", "direct"),
        ("curricula", "everything"),
        ("architectures", "mlp"),
        ("data", "digits"),
    ],
)
def test_the_catalogue_tells_every_entry(client: TestClient, path: str, name: str) -> None:
    listed = client.get(f"/v1/{path}").json()["data"]
    one = client.get(f"/v1/{path}/{name}")
    assert one.json() in listed
    assert one.json()["schema"]["type"] == "object"
    assert {"summary", "formula", "shapes", "paper", "source", "defaults"} <= set(one.json())
    same = client.get(f"/v1/{path}/{name}", headers={"If-None-Match": one.headers["etag"]})
    assert same.status_code == 304


def test_the_openapi_document_is_whole(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operations = [
        operation
        for path in document["paths"].values()
        for method, operation in path.items()
        if method in {"get", "post"}
    ]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in ids)
    assert all(
        operation.get("summary") and operation.get("description") for operation in operations
    )
    references = set(
        re.findall(r'"#/components/schemas/([^"]+)"', client.get("/openapi.json").text)
    )
    assert references <= set(document["components"]["schemas"])
    submit = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert len(submit["examples"]) >= 3


def test_the_verbs_that_a_hint_can_name_are_those_with_a_route(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    routed = {
        path.rpartition("/")[2]
        for path, operations in paths.items()
        if re.fullmatch(r"/v1/jobs/\{job_id\}/[a-z]+", path) and "post" in operations
    }
    assert "delete" in paths["/v1/jobs/{job_id}"]
    assert routed | {"delete"} == set(CLIENT_VERBS)


def test_every_error_of_the_ledger_and_the_engine_has_its_status() -> None:
    for module, parent in ((ledger, ledger.JobError), (engine, engine.KdcoreError)):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, parent) and kind is not parent:
                if kind in {ledger.LeaseLost, ledger.Unfit}:
                    continue  # a worker's alone
                assert any(issubclass(kind, known) for known, _ in problems.STATUSES), kind


def test_answers_carry_the_headers_that_keep_browsers_safe(client: TestClient) -> None:
    for path in ("/", "/v1/jobs", "/static/style.css", "/nope"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


def test_hosts_are_configurable(settings: Settings) -> None:
    named = settings.model_copy(update={"allowed_hosts": "house.example, other.example"})
    with TestClient(create_app(named), base_url="http://house.example:8000") as client:
        assert client.get("/livez").status_code == 200
        assert client.get("/livez", headers={"Host": "localhost"}).status_code == 200
        assert client.get("/livez", headers={"Host": "[::1]:8000"}).status_code == 200
        for host in ("evil.example", "house.example.evil", "", "127.0.0.1.evil.example"):
            assert client.get("/livez", headers={"Host": host}).status_code == 400


def api(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", *arguments],
        env={**os.environ, **variables},
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_an_address_that_others_reach_is_refused_without_keys(tmp_path: Path) -> None:
    done = api("--host", "0.0.0.0", "--port", "0", STILLHOUSE_DATA=str(tmp_path))  # noqa: S104
    assert done.returncode == 2
    assert "STILLHOUSE_ALLOW_OPEN=1" in done.stderr
    assert "jobs.make_key" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_and_a_wrong_setting_are_said_in_words(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = api("--port", port, STILLHOUSE_DATA=str(tmp_path))
    assert done.returncode == 2
    assert port in done.stderr
    assert "Traceback" not in done.stderr
