"""Adding a method is one file: put beside the others, it stands everywhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOY = '''"""Squared difference of logits and of learned features: a method that nobody published.

Formula
    L = sum_c (z_s - z_t)^2 / T^2 + mean (W f_s - f_t)^2
Shapes
    student, teacher logits (B, C); embeddings (B, D_s), (B, D_t); result (B,)
Paper
    None. arXiv:0000.00000
Source
    This file
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from kdcore.lazy import nn as layers
from kdcore.method import Method, Pair
from kdcore.objective import Objective
from kdcore.stages import embedding
from kdcore.tensors import Taps

if TYPE_CHECKING:
    from torch import Tensor, nn


class Toy(Objective):
    """Match the logits themselves, and the embeddings through a learned map."""

    name: Literal["toy"] = "toy"
    softens: ClassVar[bool] = True

    def taps(self, sizes) -> Taps:
        """Read both embeddings."""
        return Taps(
            (embedding(sizes.student, "student"),), (embedding(sizes.teacher, "teacher"),)
        )

    def heads(self, sizes) -> nn.Module:
        """Map the student's width to the teacher's."""
        taps = self.taps(sizes)
        (ours,), (theirs,) = sizes.student[taps.student[0]], sizes.teacher[taps.teacher[0]]
        return layers.Linear(ours, theirs)

    def loss(self, seen, softened, heads) -> Tensor:
        """See the formula of this file."""
        ours = heads(seen.student.features[seen.taps.student[0]])
        theirs = seen.teacher.features[seen.taps.teacher[0]]
        logits = (softened.student_logits - softened.teacher_logits).pow(2).sum(-1)
        return logits + (ours - theirs).pow(2).mean(-1)


def toy_loss(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return the mean distance of logits `(B, C)`, a scalar."""
    return (student_logits - teacher_logits).pow(2).sum(-1).mean()


class ToyMethod(Method):
    """Nothing but the toy."""

    name: Literal["toy"] = "toy"
    title: ClassVar[str] = "A toy"
    strength: float = 0.5
    """Factor of the toy."""

    def axes(self, pair: Pair):
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
    (objective,) = answers["dry_run"]["recipe"]["objectives"]
    assert (objective["name"], objective["weight"]) == ("toy", 0.5)
    assert not answers["torch"]


@pytest.mark.slow
def test_a_new_file_is_under_the_laws_and_trains(house, tmp_path):
    for laws in ("test_laws.py", "test_laws_at_work.py"):
        shutil.copy(ROOT / "tests/kdcore" / laws, tmp_path)  # away from our own settings
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
