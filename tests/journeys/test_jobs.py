"""From a POST to a downloaded student, or to a failure that says why: the real processes."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Generator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import torch
from running import running_house
from safetensors.torch import save_file
from stillhouse import Client
from waiting import wait_until

from jobs.settings import Settings
from kdcore import load_student

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "teacher": {"model": {"name": "mlp", "hidden": [24]}},
    "student": {"model": {"name": "mlp", "hidden": [6]}},
    "data": {"name": "digits", "labelled": 100, "validation_size": 97},
    "training": {"max_steps": 300},
    "seeds": [0, 1],
    "gates": ["student.accuracy >= 0.5"],
}
ASSISTANTS = [{"name": "mlp", "hidden": [12]}]
METHODS = [
    "kd",
    "dkd",
    {"name": "takd", "assistants": ASSISTANTS},
]


@pytest.fixture
def house(settings: Settings, tmp_path: Path) -> Generator[Client]:
    """Give a client of an API process and a worker process, on each kind of database."""
    with running_house(settings, tmp_path) as client:
        yield client


def test_a_posted_spec_becomes_a_downloaded_student_for_every_method(house, tmp_path):
    jobs = [house.submit(SPEC | {"method": method}) for method in METHODS]
    for method, job in zip(METHODS, jobs, strict=True):
        ended = house.wait(job["id"], timeout_seconds=120)
        assert (ended["status"], ended["failure"]) == ("succeeded", None)
        assert ended["verdict"]["outcome"] in {"beats", "ties", "loses", "inconclusive"}
        assert ended["gates_passed"] is True
        assert ended["progress"]["percent"] == 100
        folder = tmp_path / job["id"]
        house.download(job["id"], folder)
        student = load_student(folder)
        assert student(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
        assert (folder / "assistant-1.safetensors").exists() == isinstance(method, dict)
        check_the_rest(house.url, job["id"], folder)


def check_the_rest(url: str, job_id: str, folder: Path) -> None:
    """See that archive, checksums, curves and report tell of the same files and numbers."""
    with httpx.Client(base_url=f"{url}/v1/jobs/{job_id}") as http:
        archive = zipfile.ZipFile(BytesIO(http.get("/artifacts.zip").content))
        sums = dict(
            reversed(line.split("  ")) for line in http.get("/SHA256SUMS").text.splitlines()
        )
        for name, digest in sums.items():
            content = (folder / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest
            if name in archive.namelist():
                assert archive.read(name) == content
        curves = http.get("/metrics").json()["stages"]
        steps = curves["student-0"]["columns"]["step"]
        assert steps == list(range(1, 301))
        assert "validation/accuracy" in curves["student-0"]["columns"]
        assert http.get("/report", headers={"Accept": "text/markdown"}).text.startswith("# ")


def write_arrays(folder: Path, **changes: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "x_train": np.random.default_rng(0).normal(size=(40, 6)).astype("float32"),
        "y_train": np.arange(40) % 3,
        "x_test": np.zeros((12, 6), "float32"),
        "y_test": np.arange(12) % 3,
    }
    np.savez(folder / "data.npz", **(arrays | changes))


def nothing(_: Path) -> None:
    """Put no file there."""


ARRAYS = {"data": {"name": "arrays", "path": "data.npz"}}
BAD: dict[str, tuple[dict[str, Any], Callable[[Path], Any], str, str]] = {
    "no file": (ARRAYS, nothing, "data_invalid", "no such file"),
    "no npz": (
        ARRAYS,
        lambda folder: (folder / "data.npz").write_bytes(b"hello"),
        "data_invalid",
        "not a readable .npz",
    ),
    "nan": (
        ARRAYS,
        lambda folder: write_arrays(folder, x_test=np.full((12, 6), np.nan, "float32")),
        "data_invalid",
        "12 test samples hold NaN",
    ),
    "empty": (
        ARRAYS,
        lambda folder: write_arrays(
            folder, x_train=np.zeros((0, 6), "float32"), y_train=np.zeros(0, int)
        ),
        "data_invalid",
        "no samples",
    ),
    "one class": (
        ARRAYS,
        lambda folder: write_arrays(folder, y_train=np.ones(40, int)),
        "data_invalid",
        "fewer than two classes",
    ),
    "teacher that does not fit": (
        {"teacher": {"model": "mlp", "weights": "t.safetensors"}},
        lambda folder: save_file({"x": torch.zeros(2)}, folder / "t.safetensors"),
        "weights_mismatch",
        "head.weight is missing",
    ),
    "divergence": (
        {"training": {"max_steps": 100_000, "learning_rate": 1e9}},
        nothing,
        "nan_loss",
        "of stage teacher",
    ),
    "divergence of the student alone": (
        {
            "teacher": {"model": "mlp", "training": {"max_steps": 20}},
            "training": {"max_steps": 1000, "learning_rate": 1e9, "eval_steps": 1},
        },
        nothing,
        "nan_loss",
        "",
    ),
    "a network that cannot take the data": (
        {**ARRAYS, "student": "resnet"},
        write_arrays,
        "recipe_invalid",
        "takes images",
    ),
    "a feature method without feature maps": (
        {**ARRAYS, "method": "fitnet"},
        write_arrays,
        "recipe_invalid",
        "no feature map in the student",
    ),
    "more GPUs than there are": (
        {"resources": {"gpus": 64}},
        nothing,
        "recipe_invalid",
        "runtime.processes 64; this machine has",
    ),
    "labels out of range": (
        ARRAYS,
        lambda folder: write_arrays(folder, y_test=np.full(12, -3)),
        "data_invalid",
        "label -3",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_job_that_cannot_run_fails_with_a_code_and_the_way_out(house_on_sqlite, fault):
    house, inputs = house_on_sqlite
    changes, furnish, code, words = BAD[fault]
    for file in inputs.iterdir():
        file.unlink()
    furnish(inputs)
    job = house.wait(house.submit(SPEC | changes)["id"], timeout_seconds=60)
    assert job["status"] == "failed"
    assert job["attempt"] == 1, "what can never work is not tried again"
    assert job["failure"]["code"] == code
    assert words in job["failure"]["message"]
    assert job["failure"]["hint"]


def test_processes_that_share_the_steps_of_a_job_come_and_go_with_its_trainer(house_on_sqlite):
    house, inputs = house_on_sqlite
    spec = SPEC | {"runtime": {"device": "cpu", "processes": 2}, "seeds": [0]}
    ended = house.wait(house.submit(spec)["id"], timeout_seconds=120)
    assert (ended["status"], ended["failure"]) == ("succeeded", None)
    events = house.events(ended["id"])["data"]
    (started,) = [event for event in events if event["type"] == "run.started"]
    assert started["data"]["processes"] == 2
    lines = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if "kdcore.follow" in line and str(inputs.parent) in line]


@pytest.fixture(scope="module")
def house_on_sqlite(
    tmp_path_factory: pytest.TempPathFactory,
) -> Generator[tuple[Client, Path]]:
    """Give one house for many jobs, and its inputs folder."""
    folder = tmp_path_factory.mktemp("house")
    data = folder / "data"
    (data / "inputs").mkdir(parents=True)
    environment = os.environ | {"STILLHOUSE_DATA": str(data)}
    command = [sys.executable, "-m", "stillhouse", "up", "--data", str(data), "--port", "0"]
    with (folder / "up.log").open("wb") as log:
        up = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        told = data / "server.json"
        wait_until(told.exists)
        with Client(json.loads(told.read_text())["url"]) as client:
            yield client, data / "inputs"
    finally:
        up.terminate()
        up.wait()
