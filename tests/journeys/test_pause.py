"""Pause, resume, clone, delete from the client's side: real processes, digits, the same student."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from running import running_house
from stillhouse import ApiError, Client
from waiting import wait_until

from jobs.settings import Settings

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "teacher": {"model": {"name": "mlp", "hidden": [24]}},
    "student": {"model": {"name": "mlp", "hidden": [6]}},
    "data": {"name": "digits", "labelled": 100, "validation_size": 97},
    "training": {"max_steps": 4000},
    "seeds": [0],
    "export": ["safetensors"],
    "max_attempts": 1,
}


@pytest.fixture
def house(settings: Settings, tmp_path: Path) -> Generator[Client]:
    """Give a client of an API process and a worker process."""
    with running_house(settings, tmp_path) as client:
        yield client


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_digits_job_is_paused_resumed_cloned_and_deleted(
    house: Client, settings: Settings
) -> None:
    job_id = house.submit(SPEC)["id"]

    def in_the_student() -> bool:
        progress = house.get(job_id)["progress"]
        return progress is not None and progress["role"] == "student" and bool(progress["step"])

    wait_until(in_the_student, seconds=120)
    assert house.pause(job_id)["status"] == "pausing"
    assert house.wait(job_id, timeout_seconds=60)["status"] == "paused"
    assert [attempt["status"] for attempt in house.attempts(job_id)] == ["paused"]
    calm = house.clone(job_id, {"name": "calm"})
    assert calm["cloned_from"] == job_id
    assert house.wait(calm["id"], timeout_seconds=300)["status"] == "succeeded"
    assert house.get(job_id)["status"] == "paused"
    assert house.resume(job_id)["status"] == "queued"
    assert house.wait(job_id, timeout_seconds=300)["status"] == "succeeded"

    def student(of: str) -> str:
        files = {file["name"]: file["sha256"] for file in house.artifacts(of)}
        return files["student.safetensors"]

    assert student(job_id) == student(calm["id"])
    assert house.metrics(job_id)["stages"] == house.metrics(calm["id"])["stages"]
    assert (settings.artifacts / job_id).is_dir()
    house.delete(job_id)
    with pytest.raises(ApiError) as gone:
        house.get(job_id)
    assert (gone.value.status, gone.value.code) == (410, "job_deleted")
    wait_until(lambda: not (settings.artifacts / job_id).exists())
    assert len(student(calm["id"])) == 64
