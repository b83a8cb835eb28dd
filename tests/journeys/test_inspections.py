"""Data, models and specs that a real worker looks at before a job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from digit_images import digits, packed
from onnx import helper
from running import running_house
from stillhouse import Client

from jobs.settings import Settings

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "student": {"model": {"name": "mlp", "hidden": [6]}},
    "training": {"max_steps": 60},
    "seeds": [0],
}
IMAGES = {"name": "image_folder", "image_size": 8, "channels": 1}


def teacher(file: Path, classes: int) -> None:
    """Write an ONNX file from images (B, 1, 8, 8) to logits, with its features as an output."""
    weight = np.random.default_rng(0).normal(size=(classes, 64)).astype("float32")
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["images"], ["features"]),
            helper.make_node("Gemm", ["features", "weight"], ["logits"], transB=1),
        ],
        "teacher",
        [helper.make_tensor_value_info("images", 1, ["batch", 1, 8, 8])],
        [
            helper.make_tensor_value_info("logits", 1, ["batch", classes]),
            helper.make_tensor_value_info("features", 1, ["batch", 64]),
        ],
        [helper.make_tensor("weight", 1, weight.shape, weight.flatten().tolist())],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, ir_version=8, opset_imports=[opset])
    file.write_bytes(model.SerializeToString())


def ended(url: str, method: str, path: str, **request: Any) -> dict[str, Any]:
    """Ask until an answer is there, and return it."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        answer = httpx.request(method, f"{url}{path}", params={"wait": 30}, timeout=60, **request)
        assert answer.status_code in {200, 202}, answer.text
        if answer.status_code == 200:
            return answer.json()
    raise AssertionError(answer.text)


def test_a_worker_looks_at_data_models_and_specs(tmp_path: Path) -> None:
    files = digits(30, under="train/") | digits(9, start=60, under="test/")
    name, content = next((name, files[name]) for name in files if name.startswith("train/"))
    files["test/" + name.removeprefix("train/").replace(".", "-again.")] = content
    files[name.replace(".", "-broken.")] = b"\x89PNG\r\n\x1a\n nothing"
    packed(tmp_path / "digits.zip", files)
    settings = Settings(data=tmp_path / "data")
    with running_house(settings, tmp_path) as house:
        images = house.datasets.upload(tmp_path / "digits.zip")
        path = f"/v1/datasets/{images['id']}/report"
        told = ended(house.url, "POST", path, json={"data": IMAGES})
        assert (told["state"], told["failure"]) == ("done", None)
        report = told["result"]
        assert "-broken." in report["faults"]["shown"][0]["name"]
        assert report["duplicates"]["across"] == {"test in train": 1}
        _without_options(house, images["id"], tmp_path / "own.csv")
        page = httpx.get(
            f"{house.url}/v1/inspections/{told['id']}", headers={"Accept": "text/html"}
        )
        assert "-broken." in page.text
        assert "sandbox" in page.headers["content-security-policy"]

        for classes in (3, 4):
            teacher(tmp_path / f"{classes}.onnx", classes)
        fits, other = (house.models.upload(tmp_path / f"{classes}.onnx") for classes in (3, 4))
        layers = ended(house.url, "GET", f"/v1/models/{fits['id']}/layers")["result"]
        assert layers["input_shape"] == [1, 8, 8]
        assert {one["path"]: one["shape"] for one in layers["layers"]} == {
            "logits": [3],
            "features": [64],
        }
        whole = dict(files)
        whole.pop(name.replace(".", "-broken."))
        packed(tmp_path / "whole.zip", whole)
        data = {**IMAGES, "path": house.datasets.upload(tmp_path / "whole.zip")["reference"]}
        spec = {**SPEC, "data": data, "teacher": {"model": _named(fits)}}
        path = "/v1/jobs/preflight"
        told = ended(house.url, "POST", path, json=spec)
        assert told["result"]["problems"] == []
        assert told["result"]["compatible"]
        assert told["result"]["samples"] == {"train": 90, "test": 28}
        # The same is told at once; what does not fit is told with its place.
        again = httpx.post(f"{house.url}{path}", json=spec)
        assert (again.status_code, again.json()["id"]) == (200, told["id"])
        spec["teacher"] = {"model": _named(other)}
        (problem,) = ended(house.url, "POST", path, json=spec)["result"]["problems"]
        assert problem["pointer"] == "/teacher/model"
        assert "logits for 4 classes" in problem["message"]
        broken = {**IMAGES, "path": images["reference"]}
        told = ended(house.url, "POST", path, json={**spec, "data": broken})
        (problem,) = told["result"]["problems"]
        assert (problem["pointer"], problem["code"]) == ("/data", "data_invalid")
        _by_the_client(house, images, fits, spec)
        # With the data goes what was found out of it.
        house.datasets.delete(images["id"])
        gone = httpx.get(f"{house.url}/v1/inspections/{told['id']}")
        assert (gone.status_code, gone.json()["code"]) == (404, "inspection_not_found")


def _without_options(house: Client, images: str, own: Path) -> None:
    """Ask for reports as a browser does that follows a link."""
    report = ended(house.url, "GET", f"/v1/datasets/{images}/report")["result"]
    assert report["image_size"] == [64, 64]
    assert report["faults"]["count"] == 1
    own.write_text("age,kind\n1,a\n2,b\n3,a\n4,b\n")
    table = house.datasets.upload(own)["id"]
    report = ended(house.url, "GET", f"/v1/datasets/{table}/report")["result"]
    assert [one["name"] for one in report["columns"]] == ["age", "kind"]
    assert "label" in report["notes"][0]["hint"]


def _by_the_client(house: Client, images: Any, fits: Any, spec: dict[str, Any]) -> None:
    """Ask the same from the command line."""

    def said(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "STILLHOUSE_URL": house.url}
        command = [sys.executable, "-m", "stillhouse", *words]
        return subprocess.run(
            command,
            env=environment,
            input=json.dumps(spec),
            capture_output=True,
            text=True,
            check=False,
        )

    sizes = [f"--set=data.{name}={value}" for name, value in IMAGES.items()]
    report = said("datasets", "report", images["reference"], *sizes)
    assert report.returncode == 1, report.stderr
    assert "cannot be used" in report.stdout
    assert "-broken." in report.stdout
    layers = said("models", "layers", fits["id"])
    assert layers.returncode == 0, layers.stderr
    assert "features" in layers.stdout
    preflight = said("preflight", "-", "--json")
    assert preflight.returncode == 1, preflight.stderr
    assert json.loads(preflight.stdout)["result"]["problems"][0]["pointer"] == "/teacher/model"


def _named(model: Any) -> dict[str, str]:
    return {"name": "onnx", "path": model["reference"]}
