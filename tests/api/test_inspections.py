"""What clients may ask of data, models and specs, and what they are told before it is known."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from doors import Doors
from fastapi.testclient import TestClient
from looking import BINARY, finish, npz, upload
from serving import SPEC

from jobs.database import Database
from jobs.inspections import MOST_WAITING

_FAILED = {"code": "inspection_crashed", "message": "it ended", "hint": "look"}


@pytest.fixture
def dataset(client: TestClient) -> str:
    return upload(client)


def test_a_question_is_pending_until_it_is_answered(
    client: TestClient, database: Database, dataset: str
) -> None:
    path = f"/v1/datasets/{dataset}/report"
    first = client.get(path)
    assert first.status_code == 202, first.text
    assert int(first.headers["retry-after"]) > 0
    told = first.json()
    assert (told["state"], told["result"], told["kind"]) == ("queued", None, "dataset_report")
    assert client.get(path, params={"wait": 1}).json()["id"] == told["id"]
    assert client.post(path).json()["id"] == told["id"]  # the same, asked in words
    finish(database, failure=_FAILED)
    failed = client.get(f"/v1/inspections/{told['id']}")
    assert failed.status_code == 200
    assert failed.json()["failure"] == _FAILED
    assert client.get(path, headers={"Accept": "text/html"}).json()["state"] == "failed"
    again = client.post(path, params={"again": True})
    assert again.status_code == 202
    assert again.json()["id"] != told["id"]
    assert client.delete(f"/v1/datasets/{dataset}").status_code == 204
    assert client.get(path).status_code == 410
    gone = client.get(f"/v1/inspections/{again.json()['id']}")
    assert (gone.status_code, gone.json()["code"]) == (404, "inspection_not_found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"data": {"name": "nobody"}}, "/data"),
        ({"data": {"name": "arrays", "labelled": -1}}, "/data/labelled"),
        ({"data": {"name": "table"}}, "/data"),
        ({"task": "cooking"}, "/task"),
        ({"data": []}, "/data"),
        ({"more": 1}, "/more"),
        ([], ""),
    ],
)
def test_options_that_make_no_sense_are_refused_with_their_place(
    client: TestClient, dataset: str, body: object, pointer: str
) -> None:
    answer = client.post(f"/v1/datasets/{dataset}/report", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)


def test_a_report_is_of_the_dataset_that_is_named(client: TestClient, dataset: str) -> None:
    path = f"/v1/datasets/{dataset}/report"
    answer = client.post(path, json={"data": {"path": "other.npz"}})
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_path")
    own = client.post(path, json={"data": {"path": f"dataset:{dataset}"}})
    assert own.status_code == 202


def test_each_format_has_a_report_without_options(client: TestClient) -> None:
    image = io.BytesIO()
    with zipfile.ZipFile(image, "w") as archive:
        archive.writestr("train/cat/1.png", b"an image")
    for name, content in (("a.csv", b"a,b\n1,2\n"), ("a.zip", image.getvalue())):
        path = f"/v1/datasets/{upload(client, name, content)}/report"
        told = client.get(path)
        assert told.status_code == 202, told.text
        assert client.post(path, json={}).json()["id"] == told.json()["id"]
    table = upload(client, "b.csv", b"a,b\n1,2\n")
    half = client.post(f"/v1/datasets/{table}/report", json={"data": {"features": ["a"]}})
    assert half.status_code == 422
    assert half.json()["errors"][0]["pointer"].startswith("/data")
    told = client.post(f"/v1/datasets/{table}/report", json={"data": {"label": "b"}})
    assert told.status_code == 202


def test_a_tokenizer_has_no_report(client: TestClient) -> None:
    model = {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}
    content = json.dumps({"version": "1.0", "added_tokens": [], "model": model}).encode()
    path = f"/v1/datasets/{upload(client, 'tokenizer.json', content)}/report"
    for answer in (client.get(path), client.post(path, json={"data": {"name": "text"}})):
        assert (answer.status_code, answer.json()["code"]) == (422, "no_samples")
        assert "data" in answer.json()["errors"][0]["hint"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/datasets/ds_nothing/report",
        "/v1/models/mdl_01kaz3x2mcf4t6v8y0r2q4s6u8/layers",
        "/v1/inspections/ins_01kaz3x2mcf4t6v8y0r2q4s6u8",
        "/v1/inspections/%00",
    ],
)
def test_what_is_not_there_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("wait", ["-1", "31", "soon", "1e9"])
def test_nobody_waits_for_ever(client: TestClient, dataset: str, wait: str) -> None:
    answer = client.get(f"/v1/datasets/{dataset}/report", params={"wait": wait})
    assert answer.status_code == 422


def test_a_preflight_refuses_what_a_job_would_be_refused_for(client: TestClient) -> None:
    first = client.post("/v1/jobs/preflight", json=SPEC)
    assert first.status_code == 202, first.text
    named = client.post("/v1/jobs/preflight", json={**SPEC, "name": "another"})
    assert named.json()["id"] == first.json()["id"]
    refused = client.post("/v1/jobs/preflight", json={**SPEC, "student": "nobody"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/student")
    missing = {**SPEC, "data": {"name": "arrays", "path": "dataset:ds_nothing"}}
    refused = client.post("/v1/jobs/preflight", json=missing)
    assert (refused.status_code, refused.json()["code"]) == (422, "dataset_not_found")
    assert client.get("/v1/jobs").json()["data"] == []


def test_a_project_cannot_fill_the_queue(client: TestClient) -> None:
    answers = [
        client.post("/v1/jobs/preflight", json={**SPEC, "seeds": [seed]})
        for seed in range(MOST_WAITING + 1)
    ]
    assert {one.status_code for one in answers[:-1]} == {202}
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "inspections_full")


def test_each_project_and_each_scope_sees_its_own(doors: Doors) -> None:
    named = {"params": {"name": "a.npz"}, "content": npz(), "headers": BINARY}
    input_id = doors.ask("writer", "post", "/v1/datasets", **named).json()["id"]
    path = f"/v1/datasets/{input_id}/report"
    early = doors.ask("reader", "get", path)
    assert (early.status_code, early.json()["code"]) == (403, "scope_missing")
    told = doors.ask("writer", "get", path).json()
    assert doors.ask("reader", "get", path).json()["id"] == told["id"]
    assert doors.ask("reader", "post", path).status_code == 403
    assert doors.ask("vision", "get", path).status_code == 404
    assert doors.ask("vision", "get", f"/v1/inspections/{told['id']}").status_code == 404
    assert doors.ask("vision", "post", "/v1/jobs/preflight", json=SPEC).status_code == 202
