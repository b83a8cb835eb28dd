"""From a POST to a downloaded student by way of a bucket: real processes, a real S3 server."""

import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from running import running_house
from s3_server import S3Server, settings_of

from jobs.settings import Settings
from jobs.stores import open_store
from kdcore import load_student

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "teacher": {"model": {"name": "mlp", "hidden": [24]}},
    "student": {"model": {"name": "mlp", "hidden": [6]}},
    "data": {"name": "digits", "labelled": 100, "validation_size": 97},
    "training": {"max_steps": 100},
}


def test_a_student_of_digits_is_downloaded_out_of_a_bucket(
    s3_server: S3Server, tmp_path: Path
) -> None:
    named = settings_of(s3_server, s3_server.make_bucket())
    settings = Settings(data=tmp_path / "data", **named)
    variables = {
        "STILLHOUSE_ARTIFACTS": named["artifacts"],
        "STILLHOUSE_S3_ENDPOINT": named["s3_endpoint"],
    }
    with running_house(settings, tmp_path, **variables) as house:
        ended = house.wait(house.submit(SPEC)["id"], timeout_seconds=240)
        assert (ended["status"], ended["failure"]) == ("succeeded", None)
        job_id = ended["id"]
        for redirect in (None, True):
            folder = tmp_path / f"out-{redirect}"
            paths = house.download(job_id, folder, redirect=redirect)
            assert load_student(folder)(torch.zeros(3, 1, 8, 8)).shape == (3, 10)
        kept = {one.location for one in open_store(settings).list(job_id)}
        assert kept == {f"{job_id}/1/{path.name}" for path in paths}
        archive = httpx.get(f"{house.url}/v1/jobs/{job_id}/artifacts.zip").content
        with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
            assert {path.name: path.read_bytes() for path in paths} == {
                name: zipped.read(name) for name in zipped.namelist() if name != "SHA256SUMS"
            }
    assert not (tmp_path / "data" / "artifacts").exists()
    logs = "".join((tmp_path / f"{name}.log").read_text() for name in ("api", "worker"))
    assert "hunter2" not in logs
