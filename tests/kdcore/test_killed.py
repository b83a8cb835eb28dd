"""A run that is killed at any step, again and again, ends with the very same student."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import yaml
from recipes import IMAGES, OPTIONS, TINY, small_method, suited, tiny
from resumed import AXES, VARIANTS, curve, results

from kdcore import Recipe, distill
from kdcore.catalog import METHODS
from kdcore.events import EVENT, Checkpointed, Event, StageProgress

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SIGKILLED = -9
RUNS: dict[str, Recipe] = {
    **{name: tiny(**fields) for name, fields in VARIANTS.items()},
    **{name: tiny(**suited(name), method=small_method(name)) for name in METHODS},
    **{name: tiny(**{**IMAGES, **fields}) for name, fields in AXES.items()},
}


class Mortal:
    """Runs in processes of their own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Order runs from a process of `mortal.py`."""
        self._process = process

    def run(self, recipe: Recipe, out: Path, steps: int | None = None) -> tuple[int, list[Event]]:
        """Run a recipe, killed after `steps` steps; return the exit code and all that was told."""
        order = {"recipe": recipe.model_dump(mode="json"), "out": str(out), "steps": steps}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        told = Path(f"{out}.events").read_text().splitlines(keepends=True)
        return code, [EVENT.validate_json(line) for line in told if line.endswith("\n")]


@pytest.fixture(scope="module")
def mortal() -> Generator[Mortal]:
    command = [sys.executable, str(HERE / "mortal.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parents[1]
    ) as process:
        yield Mortal(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("name", RUNS)
def test_killed_at_any_step_of_any_method_it_ends_with_the_same_student(mortal, name, tmp_path):
    """Learned parts, averages, the best so far, kept answers, curves: all is as undisturbed."""
    recipe = RUNS[name]
    code, whole = mortal.run(recipe, tmp_path / "whole")
    assert code == 0
    choose, kills = random.Random(name), 0
    for _ in range(4):
        left = sum(isinstance(event, StageProgress) for event in whole)
        code, told = mortal.run(recipe, tmp_path / "cut", choose.randint(1, max(left // 3, 2)))
        kills += code == SIGKILLED
    code, told = mortal.run(recipe, tmp_path / "cut")
    assert code == 0
    assert kills >= 2
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    assert curve(told) == curve(whole)
    student = "artifacts/student.safetensors"
    assert (tmp_path / "cut" / student).read_bytes() == (tmp_path / "whole" / student).read_bytes()


CALLED: dict[str, dict[str, Any]] = {
    "plain": {},
    "a chain": {**IMAGES, "method": small_method("dgkd")},
    "memory, a learned temperature and averages": {
        **IMAGES,
        "objectives": ["crd", "dkd", "cross_entropy"],
        "temperature": "ctkd",
        "curriculum": "easy_to_hard",
    },
    "the best of several assistants, mixed images": {
        **VARIANTS["mixed images, stored"],
        "method": {"name": "takd", "candidates": OPTIONS["dgkd"]["assistants"]},
    },
}


@pytest.mark.parametrize("name", CALLED)
def test_a_command_that_is_killed_and_called_again_ends_with_the_same_student(name, tmp_path):
    """As people do it: the same command, in the same folder."""
    training = {**TINY["training"], "max_steps": 60, "save_steps": 7, "ema_decay": 0.9}
    recipe = tiny(**{**CALLED[name], "training": training})
    whole = list(distill(recipe, tmp_path / "whole"))
    saves = sum(isinstance(event, Checkpointed) for event in whole)
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    command = [sys.executable, "-m", "kdcore", str(file), str(tmp_path / "cut"), "--json"]
    choose = random.Random(name)
    for _ in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            wait = choose.randint(1, saves // 3)
            for line in child.stdout:
                wait -= b'"type":"checkpoint"' in line
                if not wait:
                    break
            child.kill()
        assert child.returncode == SIGKILLED
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    student = "artifacts/student.safetensors"
    assert (tmp_path / "cut" / student).read_bytes() == (tmp_path / "whole" / student).read_bytes()
