"""`python -m kdcore layers`: what people name in objectives."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from recipes import TINY

ROOT = Path(__file__).parents[2]


def told(folder: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    (folder / "recipe.yaml").write_text(json.dumps({**TINY, "data": "digits", **changes}))
    return subprocess.run(
        [sys.executable, "-m", "kdcore", "layers", str(folder / "recipe.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_layers_are_told_by_path_with_shapes_and_parameters(tmp_path):
    timm = {"model": {"name": "timm", "architecture": "test_resnet"}}
    done = told(tmp_path, teacher=timm)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    heads = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert heads == [
        "teacher: timm test_resnet, inputs 1x8x8, 10 classes, 373,370 parameters",
        "student: mlp, inputs 1x8x8, 10 classes, 310 parameters",
    ]
    assert ["*", "act1", "32x4x4"] in lines
    assert ["layer1.0.conv1", "32x2x2", "9,216"] in lines
    assert ["+", "fc.input", "96"] in lines
    assert ["fc", "10", "970"] in lines
    assert ["head", "10", "50"] in lines


def test_what_cannot_be_built_is_told_and_not_traced(tmp_path):
    timm = {"model": {"name": "timm", "architecture": "test_vit"}}
    done = told(tmp_path, teacher=timm)
    assert done.returncode == 1
    assert "divisible by patch size" in done.stderr
    assert "Traceback" not in done.stderr
    assert told(tmp_path, teacher={"model": "nobody"}).returncode == 2
