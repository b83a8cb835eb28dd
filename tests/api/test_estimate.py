"""What a job would take: reckoned from the recipe, and from jobs that were like it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from looking import finish, report_of, upload
from serving import SPEC
from stage_worker import PLAN, StageWorker
from zips import plain

from jobs.database import Database
from kdcore.inspected import NetworkTold, Preflight
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


def test_no_time_is_told_where_an_epoch_has_an_unknown_length(
    client: TestClient, submit: Submit, worker: StageWorker, database: Database
) -> None:
    spec = {**SPEC, "data": {"name": "arrays", "path": f"dataset:{upload(client)}"}}
    spec["training"] = {"max_steps": 50}
    submit(**spec)
    worker.play({})
    assert client.post("/v1/jobs/estimate", json=spec).json()["seconds"] is not None
    spec["training"] = {"num_train_epochs": 3}
    told = client.post("/v1/jobs/estimate", json=spec).json()
    assert (told["steps_known"], told["seconds"]) == (False, None)
    assert ["preflight" in note for note in told["notes"]] == [True]
    # A report of the data has counted them.
    path = spec["data"]["path"].removeprefix("dataset:")
    client.post(f"/v1/datasets/{path}/report")
    finish(database, result=report_of(640))
    told = client.post("/v1/jobs/estimate", json=spec).json()
    batch = Recipe.model_validate(SPEC).training.per_device_train_batch_size
    assert told["steps"] == 3 * 3 * (640 // batch)
    assert told["steps_known"]
    assert told["seconds"]["median"] > 0
    assert told["notes"] == []


def test_a_preflight_of_the_same_spec_fills_in_what_it_has_found(
    client: TestClient, submit: Submit, worker: StageWorker, database: Database
) -> None:
    student = {"model": {"name": "timm", "architecture": "resnet10t"}}
    spec = {**SPEC, "student": student}
    dry = client.post("/v1/jobs?dry_run=true", json=spec).json()
    assert dry["preflight"]["state"] == "unasked"
    asked = client.post(dry["preflight"]["url"].partition("?")[0], json=spec).json()
    assert client.post("/v1/jobs/estimate", json=spec).json()["preflight"]["state"] == "queued"
    finish(database, result=found().model_dump(mode="json"))
    for path in ("/v1/jobs?dry_run=true", "/v1/jobs/estimate"):
        known = client.post(path, json={**spec, "name": "another"}).json()["preflight"]
        assert (known["state"], known["compatible"]) == ("done", True)
        assert client.get(known["url"]).json()["id"] == asked["id"]
    told = client.post("/v1/jobs/estimate", json=spec).json()
    sizes = {one["pointer"]: (one["parameters"], one["flops"]) for one in told["networks"]}
    assert sizes["/student/model"] == (4_000_000, 5_000_000)
    assert (told["steps"], told["memory_bytes"]) == (900, 2**40)
    assert (told["disk_bytes"], told["teacher_cache_bytes"]) == (2**41, 7)
    submit(**spec)
    worker.play({})
    seconds = client.get(f"/v1/inspections/{asked['id']}").json()["seconds"]
    steps = sum(total for _, _, _, total in PLAN)
    assert seconds["median"] == pytest.approx(900 * 1.25 * len(PLAN) / steps)


def found() -> Preflight:
    """Return what a worker might have found."""
    network = NetworkTold(model="one", parameters=4_000_000, flops=5_000_000, layers=[])
    return Preflight(
        compatible=True,
        problems=[],
        input_shape=[1, 8, 8],
        num_classes=10,
        samples={"train": 100},
        teacher=network,
        student=network,
        steps=900,
        step_seconds={},
        loss={},
        peak_memory_bytes=1,
        device_memory_bytes=2**40,
        disk_bytes=2**41,
        teacher_cache_bytes=7,
        warnings=[],
    )


def test_jobs_on_other_data_or_with_images_of_another_size_are_not_like_it(
    client: TestClient, submit: Submit, worker: StageWorker
) -> None:
    images = {
        "name": "image_folder",
        "path": f"dataset:{upload(client, 'a.zip', plain(('train/a/1.png', b'1')))}",
    }
    spec = {**SPEC, "data": {**images, "image_size": 8}, "training": {"max_steps": 50}}
    submit(**spec)
    worker.play({})

    def known(**data: Any) -> bool:
        asked = {**spec, "data": {**spec["data"], **data}}
        return client.post("/v1/jobs/estimate", json=asked).json()["seconds"] is not None

    assert known()
    assert known(validation_size=10), "a step takes no longer for it"
    assert not known(image_size=64)
    assert not known(channels=1)
    other = upload(client, "b.zip", plain(("train/a/2.png", b"2")))
    assert known(path=f"dataset:{other}"), "images have the size that the recipe says"


def test_what_would_be_refused_is_refused(client: TestClient) -> None:
    for spec in ({**SPEC, "student": "nobody"}, {**SPEC, "training": {"max_steps": 10**12}}, {}):
        first = client.post("/v1/jobs/estimate", json=spec)
        second = client.post("/v1/jobs?dry_run=true", json=spec)
        assert first.status_code == second.status_code == 422
        assert first.json()["errors"] == second.json()["errors"]
