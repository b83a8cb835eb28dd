"""What a job would take: reckoned from the recipe, and from jobs that were like it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from serving import SPEC
from stage_worker import PLAN, StageWorker

from kdcore.recipe import Recipe

Submit = Callable[..., str]


def test_sizes_are_those_of_the_recipe_and_nothing_is_stored(client: TestClient) -> None:
    told = client.post("/v1/jobs/estimate", json=SPEC).json()
    recipe = Recipe.model_validate(SPEC)
    form = recipe.data.form()
    assert form is not None
    sizes = {one["pointer"]: one["parameters"] for one in told["networks"]}
    assert sizes == {
        "/teacher/model": recipe.teacher.model.parameters(*form),
        "/student/model": recipe.student.model.parameters(*form),
    }
    operations = {one["pointer"]: one["flops"] for one in told["networks"]}
    assert operations == {
        "/teacher/model": recipe.teacher.model.flops(*form),
        "/student/model": recipe.student.model.flops(*form),
    }
    assert all(operations.values())
    assert told["seconds"] is None
    assert told["waiting"] == 0
    assert client.get("/v1/jobs").json()["data"] == []
    twice = client.post("/v1/jobs/estimate", json={**SPEC, "seeds": [0, 1]}).json()
    assert told["steps"] < twice["steps"] < 2 * told["steps"], "the teacher is trained once"


def test_a_network_of_another_library_has_no_number_yet(client: TestClient) -> None:
    spec = {**SPEC, "student": {"model": {"name": "timm", "architecture": "resnet10t"}}}
    sizes = client.post("/v1/jobs/estimate", json=spec).json()["networks"]
    assert {one["pointer"]: one["parameters"] is None for one in sizes} == {
        "/teacher/model": False,
        "/student/model": True,
    }
    assert [one["flops"] is None for one in sizes] == [False, True]


def test_data_that_is_not_read_yet_leaves_sizes_open(client: TestClient) -> None:
    data = {"name": "image_folder", "path": "photos.zip", "image_size": 32}
    told = client.post("/v1/jobs/estimate", json={**SPEC, "data": data}).json()
    assert [one["parameters"] for one in told["networks"]] == [None, None]
    assert [one["flops"] for one in told["networks"]] == [None, None]
    assert told["memory_bytes"] > 0


def test_the_time_is_that_of_jobs_like_it(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    submit(**SPEC)
    worker.play({})
    submit(**SPEC)
    told = client.post("/v1/jobs/estimate", json={**SPEC, "name": "again", "seeds": [7]}).json()
    steps = sum(total for _, _, _, total in PLAN)
    each = 1.25 * len(PLAN) / steps
    assert told["seconds"]["jobs"] == 1
    assert told["seconds"]["median"] == pytest.approx(told["steps"] * each)
    assert told["waiting"] == 1
    for other in ({"method": "dkd"}, {"training": {"per_device_train_batch_size": 16}}):
        different = client.post("/v1/jobs/estimate", json={**SPEC, **other}).json()
        assert different["seconds"] is None


def test_what_would_be_refused_is_refused(client: TestClient) -> None:
    for spec in ({**SPEC, "student": "nobody"}, {**SPEC, "training": {"max_steps": 10**12}}, {}):
        first = client.post("/v1/jobs/estimate", json=spec)
        second = client.post("/v1/jobs?dry_run=true", json=spec)
        assert first.status_code == second.status_code == 422
        assert first.json()["errors"] == second.json()["errors"]
