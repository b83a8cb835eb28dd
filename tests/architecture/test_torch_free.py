"""The API never imports torch: it starts, and passes its tests, where torch is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
PROGRAM = """
import no_torch, sys
from api.__main__ import main
from api.app import create_app
from jobs.settings import Settings
from jobs.spec import JobSpec

app = create_app(Settings(data=sys.argv[1]))
assert "/v1/jobs" in app.openapi()["paths"]
JobSpec.model_validate({"teacher": "plain_cnn", "student": "mlp", "data": "digits"}).recipe()
try:
    import torch
except ModuleNotFoundError:
    print("without torch")
"""


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=WITHOUT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_api_starts_where_torch_cannot_be_imported(tmp_path):
    assert run("-c", PROGRAM, str(tmp_path)) == "without torch\n"
    assert not list(tmp_path.iterdir()), "building the app must not touch the disk"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tests_of_the_api_pass_where_torch_cannot_be_imported():
    options = ["-p", "no_torch", "-p", "no:cacheprovider", "-q", "-k", "not postgresql"]
    options += ["--deselect", "tests/api/test_openapi.py"]  # minutes, for routes that others walk
    assert " passed" in run("-m", "pytest", *options, "tests/api")
