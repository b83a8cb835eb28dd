"""Files that clients bring: taken whole, sent back, named in specs, deleted."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from doors import Doors, digest_header
from fastapi.testclient import TestClient
from hostile_files import GOOD_ONNX, GOOD_TENSORS, npz
from stage_worker import StageWorker

_MODEL = "model:x"
CONTENT = npz(x_train=np.random.default_rng(0).random((9, 8, 8)))


def test_a_dataset_is_taken_listed_sent_back_and_deleted(client: TestClient) -> None:
    taken = client.post(
        "/v1/datasets?name=train.npz",
        content=CONTENT,
        headers={"Repr-Digest": digest_header(CONTENT)},
    )
    assert taken.status_code == 201, taken.text
    told = taken.json()
    path = taken.headers["Location"]
    assert path == f"/v1/datasets/{told['id']}"
    assert told["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert told["size_bytes"] == len(CONTENT)
    assert client.get(path).json() == told
    assert client.get("/v1/datasets").json()["data"] == [told]
    assert client.get(f"{path}/content").content == CONTENT
    part = client.get(f"{path}/content", headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, CONTENT[2:6])
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 410
    assert client.get("/v1/datasets").json()["data"] == []


def test_a_file_may_come_inside_a_form(client: TestClient) -> None:
    # Of many blocks, with what looks like a boundary in it.
    content = npz(x_train=np.frombuffer(b"\r\n--" + bytes(range(256)) * 9000, "uint8"))
    taken = client.post("/v1/datasets", files={"file": ("train.npz", content)})
    assert taken.status_code == 201, taken.text
    assert taken.json()["name"] == "train.npz"
    assert client.get(f"{taken.headers['Location']}/content").content == content
    named = client.post("/v1/models?name=t.safetensors", files={"file": ("x y", GOOD_TENSORS)})
    assert (named.status_code, named.json()["name"]) == (201, "t.safetensors")


def test_the_same_content_is_kept_once(client: TestClient) -> None:
    first = client.post("/v1/datasets?name=train.npz", content=CONTENT)
    again = client.post("/v1/datasets?name=train.npz", content=CONTENT)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


def test_a_large_body_comes_back_as_it_was(client: TestClient) -> None:
    content = b"a,b\n" * 5_000_000
    path = client.post("/v1/datasets?name=rows.csv", content=content).headers["Location"]
    assert client.get(f"{path}/content").content == content


def test_a_job_keeps_the_content_of_what_it_names_and_holds_it(client: TestClient) -> None:
    told = client.post("/v1/datasets?name=train.npz", content=CONTENT).json()
    data = {"name": "arrays", "path": told["reference"]}
    spec = {"teacher": "plain_cnn", "student": "mlp", "data": data}
    posted = client.post("/v1/jobs", json=spec)
    assert posted.status_code == 201, posted.text
    path = f"/v1/datasets/{told['id']}"
    held = client.delete(path)
    assert (held.status_code, held.json()["code"]) == (409, "input_in_use")
    assert posted.json()["id"] in held.text
    client.post(f"/v1/jobs/{posted.json()['id']}/cancel")
    assert client.delete(path).status_code == 204
    late = client.post("/v1/jobs", json=spec)
    assert (late.status_code, late.json()["code"]) == (422, "dataset_deleted")
    assert late.json()["errors"][0]["pointer"] == "/data/path"


def test_a_worker_is_told_of_the_files_and_the_recipe_names_them_by_content(
    client: TestClient, worker: StageWorker
) -> None:
    data = client.post("/v1/datasets?name=train.npz", content=CONTENT).json()
    model = client.post("/v1/models?name=big.safetensors", content=GOOD_TENSORS).json()
    spec = {
        "teacher": {"model": "plain_cnn", "weights": model["reference"]},
        "student": {"model": "mlp", "weights": model["reference"], "new_head": True},
        "data": {"name": "arrays", "path": data["reference"]},
    }
    told = client.post("/v1/jobs?dry_run=true", json=spec).json()
    job = client.post("/v1/jobs", json=spec).json()
    paths = [f"uploads/{one['sha256']}/{one['name']}" for one in (data, model)]
    assert [told["recipe"]["data"]["path"], told["recipe"]["teacher"]["weights"]] == paths
    assert job["spec"]["data"]["path"] == data["reference"]
    claim = worker.begin()
    assert [claim.recipe["data"]["path"], claim.recipe["teacher"]["weights"]] == paths
    assert claim.recipe["student"]["weights"] == paths[1]
    assert {(one.sha256, one.name, one.size_bytes) for one in claim.inputs} == {
        (one["sha256"], one["name"], one["size_bytes"]) for one in (data, model)
    }
    for one in (data, model):
        held = client.delete(f"/v1/{one['object']}s/{one['id']}")
        assert (held.status_code, held.json()["code"]) == (409, "input_in_use")
    clone = client.post(f"/v1/jobs/{job['id']}/clone")
    assert clone.status_code == 201, clone.text
    assert clone.json()["recipe"]["data"]["path"] == paths[0]


@pytest.mark.parametrize(
    ("spec", "pointer", "code"),
    [
        ({"data": {"name": "arrays", "path": "model:MODEL"}}, "/data/path", "wrong_kind"),
        ({"data": {"name": "arrays", "path": "dataset:MODEL"}}, "/data/path", "dataset_not_found"),
        (
            {"data": {"name": "table", "path": "dataset:DATA", "label": "a", "test_path": _MODEL}},
            "/data/test_path",
            "wrong_kind",
        ),
        (
            {"teacher": {"model": "plain_cnn", "weights": "dataset:DATA"}},
            "/teacher/weights",
            "wrong_kind",
        ),
        (
            {"student": {"model": "plain_cnn", "weights": "model:nope"}},
            "/student/weights",
            "model_not_found",
        ),
        (
            {"teacher": {"model": {"name": "onnx", "path": "model:nope"}}},
            "/teacher/model/path",
            "model_not_found",
        ),
        ({"data": {"name": "arrays", "path": "file:DATA"}}, "/data/path", "path_outside_inputs"),
    ],
)
def test_a_file_that_does_not_belong_there_is_refused_with_a_pointer(
    client: TestClient, spec: dict[str, Any], pointer: str, code: str
) -> None:
    data = client.post("/v1/datasets?name=train.npz", content=CONTENT).json()
    model = client.post("/v1/models?name=big.onnx", content=GOOD_ONNX).json()
    good = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: named(one) for key, one in value.items()}
        return value.replace("DATA", data["id"]).replace("MODEL", model["id"])

    for path in ("/v1/jobs", "/v1/jobs?dry_run=true", "/v1/jobs/estimate"):
        refused = client.post(path, json=good | named(spec))
        assert refused.status_code == 422, refused.text
        (error,) = refused.json()["errors"]
        assert (error["pointer"], error["code"]) == (pointer, code)
        assert error["message"].startswith(("found", "there is no"))


def test_a_name_of_content_is_that_of_the_projects_own_file(
    client: TestClient, worker: StageWorker
) -> None:
    data = client.post("/v1/datasets?name=train.npz", content=CONTENT).json()
    path = f"uploads/{data['sha256']}/train.npz"
    spec = {"teacher": "plain_cnn", "student": "mlp", "data": {"name": "arrays", "path": path}}
    assert client.post("/v1/jobs", json=spec).status_code == 201
    assert [one.path for one in worker.begin().inputs] == [path]
    spec["data"] = {"name": "arrays", "path": path.replace(data["sha256"], "0" * 64)}
    refused = client.post("/v1/jobs", json=spec)
    assert (refused.status_code, refused.json()["code"]) == (422, "dataset_not_found")


def test_a_name_of_content_is_no_way_to_another_projects_file(doors: Doors) -> None:
    data = doors.ask("writer", "post", "/v1/datasets?name=train.npz", content=CONTENT).json()
    path = f"uploads/{data['sha256']}/train.npz"
    spec = {"teacher": "plain_cnn", "student": "mlp", "data": {"name": "arrays", "path": path}}
    assert doors.ask("writer", "post", "/v1/jobs", json=spec).status_code == 201
    theirs = doors.ask("vision", "post", "/v1/jobs", json=spec)
    assert (theirs.status_code, theirs.json()["code"]) == (422, "dataset_not_found")
