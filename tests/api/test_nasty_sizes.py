"""Specs that ask for too much: each is refused where it is posted, by arithmetic, and says why."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from serving import SPEC, check

TOO_LARGE: dict[str, tuple[dict[str, Any], str]] = {
    "a resnet of a billion parameters": (
        {
            "student": {
                "model": {"name": "resnet", "depth": 110, "channels": [1024, 2048, 4096]},
            },
        },
        "/student/model",
    ),
    "a wide network of unknown data": (
        {
            "data": {"name": "arrays", "path": "a.npz"},
            "teacher": {"model": {"name": "mlp", "hidden": [65_536] * 32}},
        },
        "/teacher/model",
    ),
    "an assistant as large as a city": (
        {"method": {"name": "takd", "assistants": [{"name": "mlp", "hidden": [65_536] * 4}]}},
        "/method",
    ),
    "a thousand million steps": (
        {"training": {"max_steps": 10_000_000}, "seeds": list(range(100))},
        "/training",
    ),
    "a batch that no memory holds": (
        {
            "data": {"name": "synthetic", "shape": [1, 64, 64], "train_size": 65_000},
            "teacher": {"model": {"name": "resnet", "stem": 512, "channels": [512, 512, 512]}},
            "training": {"per_device_train_batch_size": 65_000},
        },
        "/training/per_device_train_batch_size",
    ),
    "checkpoints that fill a disk": (
        {
            "student": {"model": {"name": "mlp", "hidden": [16_384, 16_384]}},
            "training": {"max_steps": 1000, "save_steps": 1, "save_total_limit": 100},
        },
        "/training/save_total_limit",
    ),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_run_that_is_too_large_is_refused_before_it_waits(
    lasting_client: TestClient, name: str
) -> None:
    client, (fields, pointer) = lasting_client, TOO_LARGE[name]
    for query in ("", "?dry_run=true"):
        response = client.post(f"/v1/jobs{query}", json={**SPEC, **fields})
        check(client, response, 422, "too_large", pointer)
        assert "STILLHOUSE_MAX_" in response.json()["hint"]


TOO_MANY: dict[str, tuple[dict[str, Any], str]] = {
    "a million checkpoints": (
        {"training": {"max_steps": 10_000_000, "save_steps": 10}},
        "/training/save_steps",
    ),
    "a million evaluations": (
        {
            "training": {"max_steps": 10_000_000, "eval_steps": 10},
            "data": {"name": "digits", "validation_size": 99},
        },
        "/training/eval_steps",
    ),
    "101 checkpoints kept": ({"training": {"save_total_limit": 101}}, "/training/save_total_limit"),
    "no checkpoint kept": ({"training": {"save_total_limit": 0}}, "/training/save_total_limit"),
    "an average that never moves": ({"training": {"ema_decay": 1.0}}, "/training/ema_decay"),
    "a form a hundred times": ({"export": ["onnx"] * 100}, "/export"),
    "a thousand assistants": (
        {"method": {"name": "takd", "assistants": ["mlp"] * 1000}},
        "/method/assistants",
    ),
    "a thousand anchors": ({"method": {"name": "rco", "points": 1000}}, "/method/points"),
    "a thousand objectives": ({"objectives": ["kd"] * 1000}, "/objectives"),
    "a million views": (
        {"data": {"name": "digits", "augmentation": {"views": 10**6}}},
        "/data/augmentation/views",
    ),
    "a thousand seeds": ({"seeds": list(range(1000))}, "/seeds"),
}


@pytest.mark.parametrize("name", TOO_MANY)
def test_too_many_of_anything_are_refused(lasting_client: TestClient, name: str) -> None:
    fields, pointer = TOO_MANY[name]
    response = lasting_client.post("/v1/jobs", json={**SPEC, **fields})
    check(lasting_client, response, 422, "invalid_request", pointer)
    error = next(e for e in response.json()["errors"] if e["pointer"] == pointer)
    assert "found" in error["message"]
