"""From images on a laptop to a student: uploaded, trained by a real worker, downloaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from digit_images import digits, packed
from running import running_house
from stillhouse import ApiError

from jobs.settings import Settings
from kdcore import load_student

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "teacher": {"model": {"name": "mlp", "hidden": [24]}},
    "student": {"model": {"name": "mlp", "hidden": [6]}},
    "training": {"max_steps": 60},
    "seeds": [0],
    "export": ["safetensors"],
}


def test_uploaded_images_and_an_uploaded_teacher_become_students(tmp_path: Path) -> None:
    files = digits(60, under="train/") | digits(20, start=60, under="test/")
    packed(tmp_path / "digits.zip", files)
    settings = Settings(data=tmp_path / "data")
    with running_house(settings, tmp_path, STILLHOUSE_UPLOAD_PART_BYTES="16384") as house:
        images = house.datasets.upload(tmp_path / "digits.zip")
        assert images["size_bytes"] > 16384  # more than a part
        data = {"name": "image_folder", "path": images["reference"], "image_size": 8, "channels": 1}
        job = house.submit({**SPEC, "data": data})
        with pytest.raises(ApiError, match="have not ended"):
            house.datasets.delete(images["id"])
        ended = house.wait(job["id"], timeout_seconds=120)
        assert (ended["status"], ended["failure"]) == ("succeeded", None)
        assert ended["recipe"]["data"]["path"] == f"uploads/{images['sha256']}/digits.zip"
        assert ended["verdict"] is not None
        folder = tmp_path / "out"
        house.download(job["id"], folder)
        assert load_student(folder)(torch.zeros(3, 1, 8, 8)).shape == (3, 3)
        # What it ran with makes the same again.
        locked = json.loads((folder / "spec.lock").read_text())
        again = house.submit(locked)
        # Its networks are named by the job, and by the folder that was downloaded.
        shutil.make_archive(str(tmp_path / "folder"), "zip", folder)
        packed_folder = house.models.upload(tmp_path / "folder.zip")
        artifact = {"name": "artifact", "path": f"job:{job['id']}", "file": "teacher"}
        student = {"name": "artifact", "path": packed_folder["reference"]}
        named = {
            **SPEC,
            "data": data,
            "teacher": {"model": artifact},
            "student": {"model": student},
        }
        ended = house.wait(house.submit(named)["id"], timeout_seconds=120)
        assert (ended["status"], ended["failure"]) == ("succeeded", None)
        assert house.wait(again["id"], timeout_seconds=120)["status"] == "succeeded"
        house.download(again["id"], tmp_path / "again")
        weights = "student.safetensors"
        assert (tmp_path / "again" / weights).read_bytes() == (folder / weights).read_bytes()
        # Its student teaches the next job, from the same images, by way of an upload.
        weights = house.models.upload(folder / "student.safetensors")
        teacher = {"model": {"name": "mlp", "hidden": [6]}, "weights": weights["reference"]}
        begun = {**teacher, "new_head": True}
        second = house.submit({**SPEC, "data": data, "teacher": teacher, "student": begun})
        ended = house.wait(second["id"], timeout_seconds=120)
        assert (ended["status"], ended["failure"]) == ("succeeded", None)
        house.datasets.delete(images["id"])
        # A retry or a clone of what needs it says so, wherever it is noticed.
        refused = httpx.post(f"{house.url}/v1/jobs/{job['id']}/clone")
        assert (refused.status_code, refused.json()["code"]) == (422, "dataset_deleted")
    assert not list((tmp_path / "data" / "work").rglob("*.zip"))
    assert [path.name for path in (tmp_path / "data" / "input-cache").iterdir()]
