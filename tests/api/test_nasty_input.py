"""Hostile requests: each is a 4xx problem that says where, none is a 500, and nothing is stored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Generator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from ledgers import empty
from serving import SPEC, check
from starlette.types import Message, Scope

JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}


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


def spec(**fields: object) -> dict[str, Any]:
    return {**SPEC, **fields}


def raw(text: str) -> str:
    """Return a spec whose learning rate is written as it stands."""
    return json.dumps(spec(training={"learning_rate": "@"})).replace('"@"', text)


RATE = "/training/learning_rate"
TEXTS = {
    "nan": (raw("NaN"), "not_finite", RATE),
    "infinity": (raw("-Infinity"), "not_finite", RATE),
    "too large a float": (raw("1e400"), "number_out_of_range", RATE),
    "5000 digits": (raw("9" * 5000), "integer_out_of_range", RATE),
    "2^63": (raw(str(2**63)), "integer_out_of_range", RATE),
    "duplicate key": ('{"data": {"name": "a", "name": "a"}}', "duplicate_key", "/data/name"),
    "nul in text": (json.dumps(spec(name="a\0b")), "nul_character", "/name"),
    "nul in a key": (json.dumps(spec(labels={"a\0b": "c"})), "nul_character", "/labels"),
    "lone surrogate": (json.dumps(spec(name="\ud800")), "lone_surrogate", "/name"),
    "surrogate in a key": (json.dumps(spec(labels={"\udfff": "c"})), "lone_surrogate", "/labels"),
    "65 deep": ("[" * 65 + "1" + "]" * 65, "too_deep", ""),
    "900 deep": ("[" * 900 + "]" * 900, "too_deep", ""),
    "100000 deep": ("[" * 100_000, "too_deep", ""),
    "100000 deep in objects": ('{"a":' * 100_000, "too_deep", ""),
    "too many values": (json.dumps(spec(seeds=list(range(20_000)))), "too_many_values", ""),
    "truncated": ('{"teacher": ', "malformed_json", ""),
    "two documents": ("{} {}", "malformed_json", ""),
    "empty": ("", "empty_body", ""),
    "spaces": ("  \n", "empty_body", ""),
    "text": ('"mlp"', "model_type", None),
    "list": ("[]", "model_type", None),
    "null": ("null", "model_type", None),
    "number": ("1", "model_type", None),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_body_that_is_no_acceptable_json_is_refused(client: TestClient, name: str) -> None:
    text, code, pointer = TEXTS[name]
    response = client.post("/v1/jobs", content=text.encode(), headers=JSON)
    check(client, response, 422, code, pointer)


WIDE = {"name": "mlp", "hidden": [10**7]}
FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "text for an integer": ({"priority": "5"}, "/priority"),
    "true for an integer": ({"priority": True}, "/priority"),
    "a float for an integer": ({"priority": 5.5}, "/priority"),
    "2^31": ({"seeds": [2**31]}, "/seeds/0"),
    "2^63 - 1": ({"max_runtime_seconds": 2**63 - 1}, "/max_runtime_seconds"),
    "negative": ({"max_attempts": -1}, "/max_attempts"),
    "negative rate": ({"training": {"learning_rate": -0.1}}, RATE),
    "absurd epochs": ({"training": {"num_train_epochs": 10**9}}, "/training/num_train_epochs"),
    "absurd batch": (
        {"training": {"per_device_train_batch_size": 10**9}},
        "/training/per_device_train_batch_size",
    ),
    "absurd network": ({"student": {"model": WIDE}}, "/student/model/hidden/0"),
    "temperature 0": ({"temperature": 0}, "/temperature"),
    "alpha above 1": ({"method": {"name": "kd", "alpha": 2}}, "/method/alpha"),
    "unknown field": ({"owner": "root"}, "/owner"),
    "unknown field inside": ({"training": {"learningrate": 1}}, "/training/learningrate"),
    "unknown method": ({"method": "kdd"}, "/method"),
    "unknown model": ({"student": "mlpp"}, "/student"),
    "unknown data": ({"data": "digitz"}, "/data"),
    "unknown objective": ({"objectives": [{"name": "kdd"}]}, "/objectives/0"),
    "unreadable gate": ({"gates": ["student.accuracy is good"]}, "/gates/0"),
    "null for text": ({"data": None}, "/data"),
    "a list for an object": ({"training": []}, "/training"),
    "an object for a list": ({"seeds": {"0": 1}}, "/seeds"),
    "a seed twice": ({"seeds": [1, 1]}, "/seeds"),
    "no seed": ({"seeds": []}, "/seeds"),
    "an empty name": ({"name": ""}, "/name"),
    "a long name": ({"name": "x" * 500_000}, "/name"),
    "17 labels": ({"labels": {f"k{i}": "v" for i in range(17)}}, "/labels"),
    "a label that is no text": ({"labels": {"a": 1}}, "/labels/a"),
    "a path upwards": ({"data": {"name": "arrays", "path": "../x.npz"}}, "/data/path"),
    "an absolute path": ({"data": {"name": "arrays", "path": "/etc/passwd"}}, "/data/path"),
    "a drive": ({"teacher": {"model": "mlp", "weights": "C:\\x"}}, "/teacher/weights"),
    "an unknown option": ({"method": {"name": "dkd", "gama": 1}}, "/method/gama"),
    "maps of a network without maps": ({"method": "fitnet"}, "/method"),
    "an objective without maps": ({"objectives": ["kd", "at"]}, "/objectives/1"),
    "a stage that is not there": (
        {"objectives": [{"name": "pkt", "student_layer": "stage9"}]},
        "/objectives/0",
    ),
    "a network that takes images": (
        {"data": {"name": "synthetic", "shape": [9]}, "student": "vgg8"},
        "/student/model",
    ),
    "one class": ({"data": {"name": "synthetic", "num_classes": 1}}, "/data/num_classes"),
    "a batch of one for relations": (
        {"method": "rkd", "training": {"per_device_train_batch_size": 1}},
        "/training/per_device_train_batch_size",
    ),
    "a temperature that nobody reads": (
        {"objectives": ["rkd"], "temperature": "ctkd"},
        "/temperature",
    ),
    "weights that reach nobody": ({"objectives": ["rkd"], "weighting": "wsld"}, "/weighting"),
    "a name twice in a chain": (
        {"method": {"name": "takd", "assistants": [{"model": "mlp", "name": "a"}] * 2}},
        "/method/assistants",
    ),
    "a route of a teacher that is given": (
        {"method": "rco", "teacher": {"model": "mlp", "weights": "t.safetensors"}},
        "/method",
    ),
    "a key with slashes": ({"a/b~c": 1}, "/a~1b~0c"),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_is_wrong_is_pointed_at(client: TestClient, name: str) -> None:
    fields, pointer = FIELDS[name]
    response = client.post("/v1/jobs", json=spec(**fields))
    check(client, response, 422, "invalid_request", pointer)
    error = next(e for e in response.json()["errors"] if e["pointer"] == pointer)
    assert "found" in error["message"]


def test_the_nearest_known_key_is_named(client: TestClient) -> None:
    body = client.post("/v1/jobs", json=spec(methodd="kd")).json()
    assert body["errors"][0]["hint"] == "did you mean 'method'?"
    assert body["error"]["param"] == "/methodd"


def test_thousands_of_errors_are_told_in_reasonable_time(client: TestClient) -> None:
    many = {f"unknown_{place}": place for place in range(4000)}
    response = client.post("/v1/jobs", json=spec(**many))
    assert response.status_code == 422
    assert len(response.json()["errors"]) <= 50


HEADERS = {
    "form": ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
    "no type": ({}, 415, "unsupported_media_type"),
    "odd type": ({"Content-Type": b"application/json\xe9"}, 415, "unsupported_media_type"),
    "gzip": (JSON | {"Content-Encoding": "gzip"}, 415, "unsupported_encoding"),
    "long key": (JSON | {"Idempotency-Key": "k" * 300}, 422, "invalid_idempotency_key"),
    "empty key": (JSON | {"Idempotency-Key": ""}, 422, "invalid_idempotency_key"),
    "key with a space": (JSON | {"Idempotency-Key": "a b"}, 422, "invalid_idempotency_key"),
    "key outside of ASCII": (JSON | {"Idempotency-Key": b"\xff"}, 422, "invalid_idempotency_key"),
    "other site": (JSON | {"Sec-Fetch-Site": "cross-site"}, 403, "cross_site_request"),
    "other origin": (JSON | {"Origin": "http://evil.example"}, 403, "cross_site_request"),
    "sandboxed origin": (JSON | {"Origin": "null"}, 403, "cross_site_request"),
    "other host": (JSON | {"Host": "evil.example"}, 400, "host_not_allowed"),
    "host with our name in it": (
        JSON | {"Host": "localhost.evil.example"},
        400,
        "host_not_allowed",
    ),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_wrong_is_refused(client: TestClient, name: str) -> None:
    headers, status, code = HEADERS[name]
    response = client.post("/v1/jobs", content=json.dumps(SPEC), headers=headers)
    check(client, response, status, code, None)


def test_a_body_of_ten_megabytes_is_refused(client: TestClient) -> None:
    body = json.dumps(spec(name="x" * 10_000_000)).encode()
    announced = client.post("/v1/jobs", content=body, headers=JSON)
    check(client, announced, 413, "body_too_large", None)
    pieces = (body[i : i + 65_536] for i in range(0, len(body), 65_536))
    chunked = client.post("/v1/jobs", content=pieces, headers=JSON)
    check(client, chunked, 413, "body_too_large", None)


def test_invalid_utf8_is_refused(client: TestClient) -> None:
    response = client.post("/v1/jobs", content=b'{"name": "\xff"}', headers=JSON)
    check(client, response, 422, "invalid_utf8", "")


YAMLS = {
    "alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b]",
    "tag that builds an object": "name: !!python/object/apply:os.system [true]",
    "not yaml": "a: [1,",
    "a date": "name: 2026-11-22",
    "not a number": "priority: .nan",
    "binary": "name: !!binary aGVsbG8=",
    "key that is no text": "1: 2",
    "nul": 'name: "a\\0b"',
    "deep": "[" * 20_000,
    "empty": "",
}


@pytest.mark.parametrize("name", YAMLS)
def test_a_yaml_body_that_is_wrong_is_refused(client: TestClient, name: str) -> None:
    response = client.post("/v1/jobs", content=YAMLS[name], headers=YAML)
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_too_much_yaml_is_refused(client: TestClient) -> None:
    text = "name: " + "x" * 70_000
    response = client.post("/v1/jobs", content=text, headers=YAML)
    check(client, response, 413, "body_too_large", None)


VERBS = [
    ("cancel", {"mode": "later"}, "/mode"),
    ("cancel", {"mod": "now"}, "/mod"),
    ("cancel", {"mode": None}, "/mode"),
    ("cancel", [], ""),
    ("retry", {"from": "start"}, "/from"),
    ("retry", {"from_": "scratch"}, "/from_"),
]


@pytest.mark.parametrize(("verb", "body", "pointer"), VERBS)
def test_a_verb_with_a_wrong_body_changes_nothing(
    client: TestClient, job: str, verb: str, body: object, pointer: str
) -> None:
    response = client.post(f"{job}/{verb}", json=body)
    assert response.status_code == 422, response.text
    assert pointer in {error["pointer"] for error in response.json()["errors"]}
    assert client.get(job).json()["status"] == "queued"


@pytest.mark.parametrize("name", ["\u202egnp.exe", "a\u200bb", "🥃" * 200, "e\u0301"])
def test_odd_but_whole_text_is_kept_as_it_is(client: TestClient, name: str) -> None:
    told = client.post("/v1/jobs", json=spec(name=name)).json()
    assert client.get(told["links"]["self"]).json()["name"] == name
    assert client.get("/").status_code == 200
    empty(client.app.state.house.database)  # type: ignore[attr-defined]


def test_a_body_that_never_ends_is_given_up(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.bodies.READ_TIMEOUT_SECONDS", 0.05)
    sent: list[Message] = []

    async def receive() -> Message:
        if not sent:
            await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/jobs",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }
    asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["code"] == "body_timeout"
