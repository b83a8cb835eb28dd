"""Clones: the spec as it was sent, with a merge patch on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from api.merge_patch import merged

SPEC: dict[str, Any] = {"teacher": "plain_cnn", "student": "mlp", "data": "digits"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
Submit = Callable[..., str]


# RFC 7396, appendix A.
PATCHES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), PATCHES, ids=str)
def test_a_merge_patch_does_what_the_rfc_says(target: Any, patch: Any, result: Any) -> None:
    before = repr(target), repr(patch)
    assert merged(target, patch) == result
    assert (repr(target), repr(patch)) == before


def test_a_spec_that_was_edited_elsewhere_says_what_it_was_cloned_from(
    client: TestClient, submit: Submit
) -> None:
    source = submit(name="old")
    params, headers = {"cloned_from": source}, {"Idempotency-Key": "one"}
    made = client.post("/v1/jobs", json=SPEC, params=params, headers=headers)
    assert (made.status_code, made.json()["cloned_from"]) == (201, source)
    again = client.post("/v1/jobs", json=SPEC, params=params, headers=headers)
    assert (again.json()["id"], again.headers["idempotent-replayed"]) == (made.json()["id"], "true")
    other = client.post("/v1/jobs", json=SPEC, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert client.post("/v1/jobs", json=SPEC).json()["cloned_from"] is None
    for nobody in ("job_none", "job_01kaz3x2mcf4t6v8y0r2q4s6u8", "x" * 999):
        refused = client.post("/v1/jobs", json=SPEC, params={"cloned_from": nobody})
        assert (refused.status_code, refused.json()["code"]) == (404, "job_not_found")
    assert len(client.get("/v1/jobs").json()["data"]) == 3


@pytest.mark.parametrize("media_type", ["application/merge-patch+json", "application/json"])
def test_a_clone_is_the_spec_as_it_was_sent_with_the_patch_on_it(
    client: TestClient, submit: Submit, media_type: str
) -> None:
    sent = {
        **SPEC,
        "name": "old",
        "labels": {"team": "a"},
        "seeds": [0, 1],
        "gates": ["uplift > 0"],
    }
    source = submit(**sent)
    client.patch(f"/v1/jobs/{source}", json={"labels": {"team": "b"}})
    patch = '{"name": "new", "seeds": [7], "gates": null, "training": {"max_steps": 5}}'
    headers = {"Content-Type": media_type}
    response = client.post(f"/v1/jobs/{source}/clone", content=patch, headers=headers)
    job = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["cloned_from"], job["status"], job["attempt"]) == (source, "queued", 0)
    assert job["spec"] == {
        **SPEC,
        "name": "new",
        "labels": {"team": "a"},
        "seeds": [7],
        "training": {"max_steps": 5},
    }
    assert job["recipe"]["training"]["max_steps"] == 5
    plain = client.post(f"/v1/jobs/{source}/clone").json()
    assert (plain["spec"], plain["recipe"]) == (
        sent,
        client.get(f"/v1/jobs/{source}").json()["recipe"],
    )
    assert client.get(f"/v1/jobs/{job['id']}").json() == job
    assert f"/jobs/{source}" in client.get(f"/jobs/{job['id']}").text


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"training": {"max_steps": -1}}, "/training/max_steps"),
        ({"traning": {}}, "/traning"),
        ({"student": None}, "/student"),
        ({"seeds": [0, -1]}, "/seeds/1"),
        ([], ""),
        (None, ""),
    ],
    ids=str,
)
def test_a_clone_that_cannot_be_is_refused_with_pointers_into_the_patched_spec(
    client: TestClient, submit: Submit, patch: object, pointer: str
) -> None:
    source = submit()
    content = json.dumps(patch)
    refused = client.post(f"/v1/jobs/{source}/clone", content=content, headers=MERGE_PATCH)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert pointer in {error["pointer"] for error in refused.json()["errors"]}
    assert len(client.get("/v1/jobs").json()["data"]) == 1


def test_patches_that_are_no_json_or_too_much_are_refused(
    client: TestClient, submit: Submit
) -> None:
    path = f"/v1/jobs/{submit()}"
    for content, media_type, status in (
        ("{", "application/merge-patch+json", 422),
        ('{"a": NaN}', "application/merge-patch+json", 422),
        ('{"name": "\\u0000"}', "application/merge-patch+json", 422),
        ("{}", "application/json-patch+xml", 415),
        ("{" + '"a":{' * 100 + "}" * 101, "application/json", 422),
    ):
        for method, where in (("POST", f"{path}/clone"), ("PATCH", path)):
            headers = {"Content-Type": media_type}
            refused = client.request(method, where, content=content, headers=headers)
            assert refused.status_code == status, (content, refused.text)
            assert refused.headers["content-type"] == "application/problem+json"
    many = {f"k{place}": 1 for place in range(3000)}
    big = client.post(f"{path}/clone", json={"data": {"name": "digits", "a": many, "b": many}})
    assert big.status_code == 422
    assert len(big.json()["errors"]) <= 50


def test_a_key_makes_one_clone_even_after_its_source_is_gone(
    client: TestClient, submit: Submit
) -> None:
    source, other = submit(), submit()
    key = {"Idempotency-Key": "clone-1"}
    first = client.post(f"/v1/jobs/{source}/clone", json={"seeds": [5]}, headers=key)
    path = first.headers["location"]
    client.patch(path, json={"name": "later", "labels": {"a": "b"}, "priority": 3})
    assert client.delete(f"/v1/jobs/{source}").status_code == 204
    again = client.post(f"/v1/jobs/{source}/clone", json={"seeds": [5]}, headers=key)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.content == first.content
    for where, patch in ((source, {"seeds": [6]}), (other, {"seeds": [5]})):
        reused = client.post(f"/v1/jobs/{where}/clone", json=patch, headers=key)
        assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")
    gone = client.post(f"/v1/jobs/{source}/clone")
    assert (gone.status_code, gone.json()["code"]) == (410, "job_deleted")
