"""The official openai client distils, with an API and a worker of ours: real processes, digits."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from running import ROOT, running_house
from waiting import wait_until

from jobs.settings import Settings

pytestmark = pytest.mark.slow

QUICK = {"training": {"max_steps": 60}, "seeds": [0], "export": ["safetensors"]}


def test_the_example_distils_and_its_student_goes_on_to_learn(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    out = tmp_path / "out"
    with running_house(settings, tmp_path) as house:
        command = [sys.executable, str(ROOT / "examples/openai_client.py"), house.url, str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        (first,) = house.list()["data"]
        files = {file["name"]: file["sha256"] for file in house.artifacts(first["id"])}
        assert f"succeeded job:{first['id']}" in done.stdout
        for name, digest in files.items():
            assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
        with OpenAI(base_url=f"{house.url}/v1", api_key="none") as client:
            jobs = client.fine_tuning.jobs
            learned = jobs.retrieve(first["id"])
            assert [
                one.fine_tuned_model_checkpoint for one in jobs.checkpoints.list(learned.id)
            ] == [learned.fine_tuned_model]
            # The name of what was learned is a model, as student and as teacher.
            distillation = {**QUICK, "teacher": learned.fine_tuned_model}
            method: Any = {"type": "distillation", "distillation": distillation}
            job = jobs.create(
                model=str(learned.fine_tuned_model),
                training_file=learned.training_file,
                method=method,
                extra_body={"priority": 60},
            )
            jobs.pause(job.id)
            wait_until(lambda: jobs.retrieve(job.id).status == "paused")
            jobs.resume(job.id)
            wait_until(lambda: jobs.retrieve(job.id).terminal, seconds=120)
            ended = jobs.retrieve(job.id)
            assert (ended.status, ended.error) == ("succeeded", None)
            assert f"{job.id}.student.safetensors" in ended.result_files
