"""What an earlier job delivered, named by a later one: looked up, kept for it, or refused."""

from __future__ import annotations

from typing import Any

import pytest
from doors import Doors
from fastapi.testclient import TestClient
from looking import upload
from stage_worker import StageWorker

from api.app import create_app
from jobs.database import Database
from jobs.repository import Repository
from jobs.settings import Settings

FILES = {"config.json": b"{}", "student.safetensors": b"s" * 9, "assistant-1.safetensors": b"a"}
PLAIN: dict[str, Any] = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}


def taught_by(job_id: str, file: str = "student") -> dict[str, Any]:
    model = {"name": "artifact", "path": f"job:{job_id}", "file": file}
    return PLAIN | {"teacher": {"model": model}}


@pytest.fixture
def earlier(client: TestClient, worker: StageWorker) -> str:
    assert client.post("/v1/jobs", json=PLAIN).status_code == 201
    return worker.play(FILES)


def test_a_worker_is_told_of_the_files_of_the_one_network(
    client: TestClient, worker: StageWorker, earlier: str
) -> None:
    job = client.post("/v1/jobs", json=taught_by(earlier, "assistant-1")).json()
    path = f"uploads/{earlier}"
    assert job["recipe"]["teacher"]["model"]["path"] == path
    claim = worker.begin()
    found = {one.path: one for one in claim.inputs}
    assert set(found) == {f"{path}/config.json", f"{path}/assistant-1.safetensors"}
    kept = {one["name"]: one for one in client.get(f"/v1/jobs/{earlier}/artifacts").json()["data"]}
    for one in found.values():
        assert one.sha256 == kept[one.name]["sha256"]
        assert one.location
    # The recipe is a spec: it names the same again, as a delivered spec.lock does.
    again = client.post("/v1/jobs?dry_run=true", json=job["recipe"])
    assert again.json()["recipe"] == job["recipe"]


def test_what_waits_for_the_files_keeps_them(
    client: TestClient, worker: StageWorker, earlier: str, database: Database
) -> None:
    job = client.post("/v1/jobs", json=taught_by(earlier)).json()
    held = client.delete(f"/v1/jobs/{earlier}")
    assert (held.status_code, held.json()["code"]) == (409, "job_in_use")
    assert job["id"] in held.text
    with database.write() as session:
        assert Repository(session).purge(0.0, 10) == []
    client.post(f"/v1/jobs/{job['id']}/cancel")
    with database.write() as session:
        assert Repository(session).purge(0.0, 1) == [earlier]
    late = client.post("/v1/jobs", json=taught_by(earlier))
    assert (late.status_code, late.json()["code"]) == (422, "job_files_gone")
    assert client.delete(f"/v1/jobs/{earlier}").status_code == 204
    # A retry finds out when a worker looks for them.
    assert client.post(f"/v1/jobs/{job['id']}/retry").status_code == 202
    assert {one.location for one in worker.begin().inputs} == {""}


@pytest.mark.parametrize(
    ("spec", "pointer", "code"),
    [
        (taught_by("job_nobody"), "/teacher/model/path", "job_not_found"),
        (taught_by("EARLIER", "teacher"), "/teacher/model/path", "file_not_delivered"),
        (taught_by("WAITING"), "/teacher/model/path", "job_not_succeeded"),
        (
            PLAIN | {"teacher": {"model": "plain_cnn", "weights": "job:EARLIER"}},
            "/teacher/weights",
            "wrong_kind",
        ),
        (PLAIN | {"data": {"name": "arrays", "path": "job:EARLIER"}}, "/data/path", "wrong_kind"),
        (
            PLAIN | {"teacher": {"model": {"name": "onnx", "path": "job:EARLIER"}}},
            "/teacher/model/path",
            "wrong_kind",
        ),
        (
            PLAIN | {"teacher": {"model": {"name": "artifact", "path": "dataset:ds_1"}}},
            "/teacher/model/path",
            "wrong_kind",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_with_a_pointer(
    client: TestClient, earlier: str, spec: dict[str, Any], pointer: str, code: str
) -> None:
    waiting = client.post("/v1/jobs", json=PLAIN).json()["id"]

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: named(one) for key, one in value.items()}
        return value.replace("EARLIER", earlier).replace("WAITING", waiting)

    for path in ("/v1/jobs", "/v1/jobs?dry_run=true", "/v1/jobs/estimate"):
        refused = client.post(path, json=named(spec))
        assert refused.status_code == 422, refused.text
        (error,) = refused.json()["errors"]
        assert (error["pointer"], error["code"]) == (pointer, code)
        assert error["hint"]


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def hub(path: str) -> dict[str, Any]:
    return PLAIN | {"teacher": {"model": {"name": "huggingface", "path": path}}}


def test_a_repository_of_the_hub_is_named_by_a_commit(
    client: TestClient, worker: StageWorker
) -> None:
    name = f"google/vit-base.v2@{COMMIT}"
    job = client.post("/v1/jobs", json=hub(f"hub:{name}")).json()
    path = f"uploads/hub/google/vit-base.v2/{COMMIT}"
    assert job["recipe"]["teacher"]["model"]["path"] == path
    assert {(one.path, one.location) for one in worker.begin().inputs} == {
        (f"{path}/{file}", f"hub:{name}/{file}") for file in ("config.json", "model.safetensors")
    }
    again = client.post("/v1/jobs?dry_run=true", json=job["recipe"])
    assert again.json()["recipe"] == job["recipe"]


@pytest.mark.parametrize(
    ("spec", "pointer", "code"),
    [
        (hub("hub:google/vit"), "/teacher/model/path", "hub_name"),
        (hub("hub:google/vit@main"), "/teacher/model/path", "hub_name"),
        (hub(f"hub:../vit@{COMMIT}"), "/teacher/model/path", "hub_name"),
        (hub(f"hub:a/b/c@{COMMIT}"), "/teacher/model/path", "hub_name"),
        (hub(f"hub:/etc/b@{COMMIT}"), "/teacher/model/path", "hub_name"),
        (
            PLAIN | {"teacher": {"model": "plain_cnn", "weights": f"hub:a/b@{COMMIT}"}},
            "/teacher/weights",
            "wrong_kind",
        ),
        (
            PLAIN | {"data": {"name": "arrays", "path": f"hub:a/b@{COMMIT}"}},
            "/data/path",
            "wrong_kind",
        ),
        (
            PLAIN | {"teacher": {"model": {"name": "artifact", "path": f"hub:a/b@{COMMIT}"}}},
            "/teacher/model/path",
            "wrong_kind",
        ),
    ],
)
def test_what_names_no_network_of_the_hub_is_refused(
    client: TestClient, spec: dict[str, Any], pointer: str, code: str
) -> None:
    refused = client.post("/v1/jobs", json=spec)
    assert refused.status_code == 422, refused.text
    (error,) = refused.json()["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)


@pytest.mark.parametrize("repository", ["/etc", "a/b/c", "a//b", ".ssh/keys", "~/x"])
def test_a_path_that_is_no_repositorys_is_a_path_like_any_other(
    client: TestClient, worker: StageWorker, repository: str
) -> None:
    spec = hub(f"uploads/hub/{repository}/{COMMIT}")
    assert client.post("/v1/jobs", json=spec).status_code == 201
    assert worker.begin().inputs == []


def test_a_server_that_fetches_nothing_says_so(settings: Settings) -> None:
    shut = settings.model_copy(update={"hub_url": ""})
    with TestClient(create_app(shut), base_url="http://localhost") as client:
        refused = client.post("/v1/jobs", json=hub(f"hub:a/b@{COMMIT}"))
    assert (refused.status_code, refused.json()["code"]) == (422, "hub_shut")


@pytest.mark.parametrize(
    ("workers", "status"),
    [
        ([], 201),
        ([{"extras": []}], 422),
        ([{"extras": ["hub"]}, {"extras": ["vision"]}], 422),
        ([{"extras": []}, {"extras": ["vision", "hub", "data"]}], 201),
        ([{"extras": []}, {}], 201),
    ],
)
def test_what_no_worker_can_run_is_refused_by_the_name_of_the_extra(
    client: TestClient, database: Database, workers: list[dict[str, Any]], status: int
) -> None:
    with database.write() as session:
        for place, about in enumerate(workers):
            Repository(session).greet(f"worker-{place}", 1, about)
    timm = {"model": {"name": "timm", "architecture": "resnet18"}}
    spec = hub(f"hub:a/b@{COMMIT}") | {"student": timm}
    for path in ("/v1/jobs/estimate", "/v1/jobs"):
        told = client.post(path, json=spec)
        if status == 201:
            assert told.status_code in {200, 201}, told.text
            continue
        assert (told.status_code, told.json()["code"]) == (422, "extra_missing")
        pointers = {error["pointer"]: error["message"] for error in told.json()["errors"]}
        assert set(pointers) == {"/teacher/model", "/student/model"}
        assert "`vision`" in pointers["/student/model"]
        assert "`hub`" in pointers["/teacher/model"]
    assert client.post("/v1/jobs", json=PLAIN).status_code == 201


ASSISTANT = {"model": {"name": "timm", "architecture": "resnet18"}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"path": {"name": "takd", "assistants": [ASSISTANT]}}, "/path/assistants/0/model"),
        ({"method": {"name": "takd", "assistants": [ASSISTANT]}}, "/method/assistants/0/model"),
        ({"data": {"name": "table", "path": "rows.parquet", "label": "kind"}}, "/data"),
        ({"data": {"name": "table", "path": "uploaded", "label": "kind"}}, "/data"),
    ],
)
def test_assistants_and_parquet_need_extras_too(
    client: TestClient, database: Database, changes: dict[str, Any], expected: str
) -> None:
    with database.write() as session:
        Repository(session).greet("worker", 1, {"extras": []})
    spec = {**PLAIN, **changes}
    if changes.get("data", {}).get("path") == "uploaded":
        content = b"PAR1" + b"\0" * 16 + (8).to_bytes(4, "little") + b"PAR1"
        rows = upload(client, "rows.parquet", content)
        spec["data"] = changes["data"] | {"path": f"dataset:{rows}"}
    told = client.post("/v1/jobs", json=spec)
    assert (told.status_code, told.json()["code"]) == (422, "extra_missing"), told.text
    (error,) = told.json()["errors"]
    assert error["pointer"] == expected
    assert ("`data`" if expected == "/data" else "`vision`") in error["message"]
    with database.write() as session:
        Repository(session).greet("another", 1, {"extras": ["data", "vision"]})
    assert client.post("/v1/jobs", json=spec).status_code == 201


def test_another_projects_jobs_are_nobodys(doors: Doors, worker: StageWorker) -> None:
    doors.ask("writer", "post", "/v1/jobs", json=PLAIN)
    earlier = worker.play(FILES)
    for path in (f"job:{earlier}", f"uploads/{earlier}"):
        spec = PLAIN | {"teacher": {"model": {"name": "artifact", "path": path}}}
        theirs = doors.ask("vision", "post", "/v1/jobs", json=spec)
        assert (theirs.status_code, theirs.json()["code"]) == (422, "job_not_found")
        assert doors.ask("writer", "post", "/v1/jobs?dry_run=true", json=spec).status_code == 200


def test_a_house_that_is_off_the_hub_refuses_it_where_it_is_named(
    settings: Settings, database: Database
) -> None:
    off = settings.model_copy(update={"hub_url": "off"})
    with TestClient(create_app(off), base_url="http://localhost") as client:
        for path in ("/v1/jobs", "/v1/jobs?dry_run=true"):
            refused = client.post(path, json=hub(f"hub:google/vit@{COMMIT}"))
            (error,) = refused.json()["errors"]
            assert (refused.status_code, error["code"]) == (422, "hub_refused")
            assert error["pointer"] == "/teacher/model/path"
            assert f"found google/vit@{COMMIT} of the hub" in error["message"]
