"""The catalogue over HTTP: what can be asked for, what it needs, and what fits what."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

from api.app import spec_schemas
from api.routes.catalog import PATHS
from kdcore.catalog import AXES, describe


@pytest.mark.parametrize("path", PATHS)
def test_every_axis_is_listed_whole_and_in_order(client: TestClient, path: str) -> None:
    entries = AXES[PATHS[path][0]]
    listed = client.get(f"/v1/{path}").json()
    assert [entry["name"] for entry in listed["data"]] == sorted(entries)
    assert not listed["has_more"]


def test_every_axis_has_its_path() -> None:
    assert {axis for axis, _, _ in PATHS.values()} == set(AXES)


@pytest.mark.parametrize("path", PATHS)
def test_an_entry_is_told_as_the_engine_knows_it(client: TestClient, path: str) -> None:
    axis = PATHS[path][0]
    for name, entry in AXES[axis].items():
        told = client.get(f"/v1/{path}/{name}").json()
        known = describe(axis, entry)
        assert {key: value for key, value in told.items() if key in known} == known
        assert all(value is None for key, value in told.items() if key not in known)


def test_a_method_says_what_it_needs_and_what_may_stand_beside_it(client: TestClient) -> None:
    crd = client.get("/v1/methods/crd").json()
    assert crd["needs_labels"]
    assert crd["needs_features"]
    assert crd["needs_indices"]
    assert crd["learns"]
    assert crd["joins"]["temperatures"] == {
        "may": False,
        "entries": ["fixed"],
        "why_not": "softened logits are not compared",
    }
    assert crd["joins"]["weightings"]["may"]
    dkd = client.get("/v1/methods/dkd").json()
    assert {"field": "beta", "teacher": "vgg13", "student": "vgg8", "value": 6.0} in dkd["by_pair"]


def test_an_architecture_says_which_sizes_have_a_name_and_which_stages_there_are(
    client: TestClient,
) -> None:
    resnet = client.get("/v1/architectures/resnet").json()
    assert resnet["known"]["resnet56"]["depth"] == 56
    assert resnet["stages"]["stage3"] == [64, 8, 8]
    assert resnet["joins"] is None


def test_curricula_are_an_axis(client: TestClient) -> None:
    told = client.get("/v1/curricula/easy_to_hard").json()
    assert "curriculum" in client.get("/v1/curricula/nope").json()["code"]
    assert told["defaults"]["pacing"] == "linear"
    assert told["joins"]["objectives"]["may"]


def test_all_that_is_told_is_documented(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    told = client.get("/v1/methods/kd").json()
    assert set(schemas["CatalogueEntry"]["properties"]) == set(told)
    assert schemas["CatalogueEntry"]["properties"]["needs_indices"]["description"]
    assert {"may", "entries", "why_not"} == set(schemas["Joining"]["properties"])


def test_a_part_of_a_spec_takes_no_name_that_the_api_has_given() -> None:
    plain = spec_schemas({})
    assert {"JobSpec", "MLP", "Teacher"} <= set(plain)
    joined = spec_schemas({"MLP": {"type": "string"}, "Teacher": plain["Teacher"]})
    assert set(joined) == set(plain) - {"MLP"} | {"SpecMLP"}
    assert joined["SpecMLP"] == plain["MLP"]
    text = json.dumps(joined)
    assert '"#/components/schemas/SpecMLP"' in text
    assert '"#/components/schemas/MLP"' not in text
