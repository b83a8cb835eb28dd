"""Hostile addresses: cursors, filters, ids and paths that cannot be are refused in words."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from fastapi.testclient import TestClient
from ledgers import empty
from serving import SPEC, check

UNKNOWN_JOB = "job_0123456789abcdefghjkmnpqrs"


@pytest.fixture
def client(lasting_client: TestClient) -> TestClient:
    """Give one app for all tests, since nothing here may leave a trace in it."""
    return lasting_client


@pytest.fixture
def job(client: TestClient) -> Generator[str]:
    """Give the path of a waiting job that is gone after the test."""
    path = client.post("/v1/jobs", json=SPEC).headers["location"]
    yield path
    empty(client.app.state.house.database)  # type: ignore[attr-defined]


QUERIES = [
    "/v1/jobs?limit=1000000000",
    "/v1/jobs?limit=0",
    "/v1/jobs?limit=-1",
    "/v1/jobs?limit=1e3",
    "/v1/jobs?after=forged",
    "/v1/jobs?after=",
    "/v1/jobs?after=MTpqb2JzOjEgT1IgMT0x",
    "/v1/jobs?after=%F0%9F%A5%83",
    "/v1/jobs?status=done",
    "/v1/jobs?label==x",
    "/v1/jobs?label=a%22b",
    "/v1/jobs?label=%24.x",
    "/v1/jobs?q=%00",
    "/v1/jobs?teacher=%00",
    "/v1/jobs?q=" + "x" * 201,
    "/v1/jobs?offset=-1",
    "/v1/jobs?lable=a",
    "/v1/methods?x=1",
]


@pytest.mark.parametrize("path", QUERIES)
def test_a_query_that_is_wrong_names_its_parameter(client: TestClient, path: str) -> None:
    response = client.get(path)
    check(client, response, 422, response.json()["code"], "")
    assert response.json()["errors"][0]["parameter"] == path.split("?")[1].split("=", maxsplit=1)[0]


JOB_QUERIES = [
    "events?after=-1",
    "events?after=99999999999999999999",
    "events?after=x",
    "events?limit=0",
    "events?limit=100000",
    "metrics?max_points=1",
    "metrics?max_points=1000000000",
    "metrics?keys=" + "k" * 1001,
    "metrics?keys=%00",
]


@pytest.mark.parametrize("rest", JOB_QUERIES)
def test_a_query_about_a_job_that_is_wrong_is_refused(
    client: TestClient, job: str, rest: str
) -> None:
    response = client.get(f"{job}/{rest}")
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


MISSING = [
    "/v1/jobs/nope",
    f"/v1/jobs/{UNKNOWN_JOB}",
    f"/v1/jobs/{UNKNOWN_JOB.upper()}",
    "/v1/jobs/job_' OR 1=1",
    "/v1/jobs/%00",
    "/v1/jobs/%ED%A0%80",
    "/v1/jobs/" + "x" * 5000,
    f"/v1/jobs/{UNKNOWN_JOB}/events",
    f"/v1/jobs/{UNKNOWN_JOB}/metrics",
    f"/v1/jobs/{UNKNOWN_JOB}/attempts",
    f"/v1/jobs/{UNKNOWN_JOB}/artifacts",
    f"/v1/jobs/{UNKNOWN_JOB}/artifacts/student.onnx",
    f"/v1/jobs/{UNKNOWN_JOB}/artifacts.zip",
    f"/v1/jobs/{UNKNOWN_JOB}/SHA256SUMS",
    f"/v1/jobs/{UNKNOWN_JOB}/report",
    f"/v1/jobs/{UNKNOWN_JOB}/report.md",
    "/v1/methods/nope",
    "/v1/objectives/%00",
    "/v1/architectures/..%2f..%2fetc%2fpasswd",
    "/v1/data/nope",
    "/v1/datasets/nope",
    "/v1/datasets/" + UNKNOWN_JOB.replace("job_", "ds_"),
    "/v1/datasets/" + UNKNOWN_JOB.replace("job_", "ds_") + "/content",
    "/v1/models/%00",
    "/v1/models/" + UNKNOWN_JOB.replace("job_", "ds_"),
    "/v1/uploads/nope",
    "/v1/uploads/" + UNKNOWN_JOB.replace("job_", "upl_"),
    "/v1/nope",
    "/nope",
    "/v1/jobs/",
    "/static/../app.py",
    "/static/%2e%2e/site.py",
    "/static/nope.js",
    "/docs",
]


@pytest.mark.parametrize("path", MISSING)
def test_what_is_not_there_is_404(client: TestClient, path: str) -> None:
    response = client.get(path)
    check(client, response, 404, response.json()["code"], None)


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", "/v1/jobs"), ("PUT", "/livez"), ("POST", "/v1/methods"), ("BREW", "/v1/jobs")],
)
def test_a_method_that_a_path_does_not_know_is_405(
    client: TestClient, method: str, path: str
) -> None:
    response = client.request(method, path)
    check(client, response, 405, "method_not_allowed", None)
    assert response.headers["allow"]
