"""Adding a method is one file: put beside the others, it stands everywhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOY = '''"""Mean squared difference of logits: a method that nobody published.

Formula
    L = sum_c (z_s - z_t)^2 / T^2
Shapes
    student, teacher logits (B, C); result (B,)
Paper
    None. arXiv:0000.00000
Source
    This file
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from kdcore.method import Method
from kdcore.objective import Objective

if TYPE_CHECKING:
    from torch import Tensor


class Toy(Objective):
    """Match the logits themselves."""

    name: Literal["toy"] = "toy"
    softens: ClassVar[bool] = True

    def loss(self, seen, softened, heads) -> Tensor:
        """See the formula of this file."""
        return (softened.student_logits - softened.teacher_logits).pow(2).sum(-1)


class ToyMethod(Method):
    """Nothing but the toy."""

    name: Literal["toy"] = "toy"
    title: ClassVar[str] = "A toy"
    strength: float = 0.5
    """Factor of the toy."""

    def axes(self):
        """The toy alone."""
        return {"objectives": [{"name": "toy", "weight": self.strength}]}
'''
ASK = """
import json, sys, tempfile
from pathlib import Path
from fastapi.testclient import TestClient
from api.app import create_app
from jobs.settings import Settings

app = create_app(Settings(data=Path(tempfile.mkdtemp())))
with TestClient(app, base_url="http://localhost") as client:
    spec = {"teacher": "mlp", "student": "mlp", "data": "synthetic", "method": "toy"}
    answers = {
        "openapi": client.get("/openapi.json").text,
        "methods": client.get("/v1/methods").text,
        "method": client.get("/v1/methods/toy").json(),
        "dry_run": client.post("/v1/jobs?dry_run=true", json=spec).json(),
        "torch": "torch" in sys.modules,
    }
print(json.dumps(answers))
"""


@pytest.fixture
def house(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a copy of the house with one file more."""
    for package in ("api", "jobs", "kdcore", "migrations"):
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "alembic.ini", tmp_path)
    (tmp_path / "kdcore/objectives/toy.py").write_text(TOY)
    return os.environ | {"PYTHONPATH": str(tmp_path)}


@pytest.mark.slow
def test_a_new_file_stands_in_the_schema_the_catalogue_and_a_recipe(house, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=house,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert '"ToyMethod"' in answers["openapi"]
    assert '"toy"' in answers["methods"]
    assert answers["method"]["defaults"] == {"strength": 0.5}
    assert "(z_s - z_t)^2" in answers["method"]["formula"]
    assert answers["dry_run"]["recipe"]["objectives"][0] == {
        "name": "toy",
        "weight": 0.5,
        "warmup_epochs": 0.0,
    }
    assert not answers["torch"]


@pytest.mark.slow
def test_a_new_file_is_under_the_laws_and_trains(house, tmp_path):
    shutil.copy(ROOT / "tests/kdcore/test_laws.py", tmp_path)  # away from our own settings
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "toy", "."],
        env=house,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
    recipe = tmp_path / "recipe.json"
    spec = {"teacher": "mlp", "student": "mlp", "data": "synthetic", "method": "toy"}
    recipe.write_text(json.dumps(spec | {"training": {"max_steps": 5}, "export": ["safetensors"]}))
    command = [sys.executable, "-m", "kdcore", str(recipe), str(tmp_path / "out")]
    subprocess.run(command, env=house, check=True, cwd=tmp_path)
    assert (tmp_path / "out/artifacts/student.safetensors").exists()
