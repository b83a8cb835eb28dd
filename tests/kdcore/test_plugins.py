"""Models that an operator has installed: found, listed, trained; a broken one harms nobody."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recipes import TINY

from kdcore.model import Model
from kdcore.models import MODELS, PLUGINS
from kdcore.plugins import plugged_in

ROOT = Path(__file__).parents[2]
GROUP = "stillhouse.models"
TOY = '''"""One linear layer: the smallest model that a package can bring.

Formula
    z = W x + b
Shapes
    (B, *input_shape) -> (B, C)
Paper
    None
Source
    This file
"""

import math
from typing import ClassVar, Literal

from kdcore.lazy import nn
from kdcore.model import Model


class Toy(Model):
    """Nothing but a head."""

    name: Literal["toy"] = "toy"
    bias: bool = True
    """Add b."""

    known: ClassVar = {"toy_plain": {"bias": False}}

    def build(self, input_shape, num_classes):
        return nn.Sequential(
            __import__("collections").OrderedDict(
                flatten=nn.Flatten(),
                head=nn.Linear(math.prod(input_shape), num_classes, bias=self.bias),
            )
        )

    def shapes(self, input_shape, num_classes):
        return {"flatten": (math.prod(input_shape),), "head": (num_classes,)}

    def parameters(self, input_shape, num_classes):
        return (math.prod(input_shape) + self.bias) * num_classes


class Renamed(Toy):
    """Another name than its entry point's."""


class Taken(Toy):
    """The name of one of ours."""

    name: Literal["mlp"] = "mlp"


class Clashing(Toy):
    """The name of a setting of ours."""

    name: Literal["clashing"] = "clashing"
    known: ClassVar = {"resnet56": {}}


class Untrue(Toy):
    """A known setting that it does not have."""

    name: Literal["untrue"] = "untrue"
    known: ClassVar = {"untrue_so": {"nothing": 1}}


NOT_A_MODEL = 7
'''
POINTS = {
    "toy": "toy_models:Toy",
    "absent": "toy_models:Absent",
    "clashing": "toy_models:Clashing",
    "mlp": "toy_models:Taken",
    "leaves": "toy_leaving:Toy",
    "number": "toy_models:NOT_A_MODEL",
    "renamed": "toy_models:Renamed",
    "unknown": "no_such_package:Toy",
    "untrue": "toy_models:Untrue",
}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package as pip would: modules, and metadata beside them."""
    (tmp_path / "toy_models.py").write_text(TOY)
    (tmp_path / "toy_leaving.py").write_text("raise SystemExit('goodbye')\n")
    info = tmp_path / "toy_models-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-models\nVersion: 1.2\n")
    lines = "\n".join(f"{name} = {value}" for name, value in POINTS.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{lines}\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for module in ("toy_models", "toy_leaving"):
        sys.modules.pop(module, None)


def test_a_plug_in_is_found_and_each_fault_is_named(installed, caplog):
    taken = {*MODELS, *(label for one in MODELS.values() for label in one.known)}
    with caplog.at_level(logging.WARNING, "kdcore.plugins"):
        found = plugged_in(GROUP, Model, taken)
    assert list(found.entries) == ["toy"]
    assert found.packages == {"toy": "toy-models 1.2"}
    faults = {fault.name: fault.message for fault in found.faults}
    assert faults.keys() == POINTS.keys() - {"toy"}
    for name, words in {
        "absent": "AttributeError",
        "clashing": "the name 'resnet56', which another entry has; expected",
        "leaves": "SystemExit: goodbye",
        "mlp": "the name 'mlp', which another entry has; expected",
        "number": "no subclass of Model",
        "renamed": "found name 'toy'",
        "unknown": "ModuleNotFoundError",
        "untrue": "ValidationError",
    }.items():
        assert words in faults[name], name
        assert f"plug-in {name} of toy-models 1.2 is left out: " in caplog.text


def test_without_plug_ins_there_are_none():
    assert not PLUGINS.faults
    assert not plugged_in("stillhouse.nothing", Model, ()).entries


ASK = """
import json, sys, tempfile
from pathlib import Path
from fastapi.testclient import TestClient
from api.app import create_app
from jobs.settings import Settings

app = create_app(Settings(data=Path(tempfile.mkdtemp())))
spec = json.loads(sys.argv[1])
with TestClient(app, base_url="http://localhost") as client:
    answers = {
        "entry": client.get("/v1/architectures/toy").json(),
        "dry_run": client.post("/v1/jobs?dry_run=true", json=spec).json(),
        "torch": "torch" in sys.modules,
    }
print(json.dumps(answers))
"""


@pytest.mark.slow
def test_it_stands_in_the_catalogue_and_is_trained_and_opened_again(installed, tmp_path):
    spec = {**TINY, "student": "toy_plain", "data": {"name": "synthetic"}}
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(spec))
    environment = os.environ | {"PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"}

    def python(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = json.loads(python("-c", ASK, json.dumps(spec)).splitlines()[-1])
    assert told["entry"]["plugin"] == "toy-models 1.2"
    assert told["entry"]["formula"] == "z = W x + b"
    assert told["dry_run"]["recipe"]["student"]["model"] == {"name": "toy", "bias": False}
    assert not told["torch"]
    python("-m", "kdcore", str(recipe), str(tmp_path / "out"))
    lock = json.loads((tmp_path / "out/artifacts/spec.lock").read_bytes())["lock"]
    assert lock["versions"]["toy-models"] == "1.2"
    opening = (
        "from pathlib import Path; from kdcore import load_student; "
        f"print(load_student(Path({str(tmp_path / 'out/artifacts')!r})))"
    )
    assert "(head): Linear(in_features=16, out_features=4, bias=False)" in python("-c", opening)
