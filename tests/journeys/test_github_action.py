"""The action for GitHub workflows: its own steps, run as GitHub runs them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import venv
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from docs_blocks import run_by
from running import ROOT
from steps import SPEC
from stillhouse import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # with the installation

ACTION = yaml.safe_load((ROOT / "examples/pipelines/github/action.yml").read_text())
BASH = shutil.which("bash") or "bash"
HERE = Path(sys.executable).parent
INSTALL, DISTIL = ACTION["runs"]["steps"]


def run(
    shell: dict[str, Any], folder: Path, path: Path, **given: str
) -> subprocess.CompletedProcess[str]:
    """Run one of the action's own steps, with what is in `path` before all else."""
    inputs = {name: one.get("default", "") for name, one in ACTION["inputs"].items()}
    context = {"github.repository": "own/repo", "github.run_id": folder.name, "github.job": "ci"}
    context["github.action_path"] = str(folder / "action")
    context |= {f"inputs.{name}": value for name, value in {**inputs, **given}.items()}
    environment = {**os.environ, "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary.md"}
    for name, value in shell["env"].items():
        for place, filled in context.items():
            value = value.replace(f"${{{{ {place} }}}}", filled)  # noqa: PLW2901  # one after another
        assert "${{" not in value
        environment[name] = value
    environment["PATH"] = f"{path}:{environment['PATH']}"
    environment.pop("STILLHOUSE_DATA", None)
    if path != HERE:
        environment.pop("PYTHONPATH", None)
    # As GitHub does.
    bash = [BASH, "--noprofile", "--norc", "-eo", "pipefail", "-c", shell["run"]]
    return subprocess.run(
        bash, cwd=folder, env=environment, check=False, timeout=240, capture_output=True, text=True
    )


def step(
    house: Client, folder: Path, path: Path = HERE, **changes: Any
) -> tuple[int, dict[str, str], str]:
    """Run the action's step that distils; return its exit code, its outputs and its summary."""
    (folder / "student.yaml").write_text(yaml.safe_dump({**SPEC, **changes}))
    (folder / "output").unlink(missing_ok=True)
    done = run(DISTIL, folder, path, url=house.url)
    lines = (folder / "output").read_text().splitlines() if (folder / "output").exists() else []
    summary = folder / "summary.md"
    told = dict(line.split("=", 1) for line in lines)
    return done.returncode, told, summary.read_text() if summary.exists() else ""


def test_a_workflow_gets_a_verdict_a_summary_and_the_student(house: Client, tmp_path: Path) -> None:
    code, told, summary = step(house, tmp_path, gates=["student.accuracy >= 0.3"])
    assert code == 0
    assert told["outcome"] in {"beats", "ties", "loses", "inconclusive"}
    assert "The student keeps" in summary
    assert (tmp_path / "student" / "student.safetensors").exists()
    again = step(house, tmp_path, gates=["student.accuracy >= 0.3"])
    assert (again[0], again[1]["job"]) == (0, told["job"])
    assert len(house.list()["data"]) == 1
    other = step(house, tmp_path, gates=["student.accuracy >= 0.2"])
    assert other[0] == 0, "another spec of the same run is another job"
    assert other[1]["job"] != told["job"]


def test_a_workflow_fails_where_gates_are_not_met_or_the_spec_is_wrong(
    house: Client, tmp_path: Path
) -> None:
    code, told, summary = step(house, tmp_path, gates=["student.accuracy >= 1"])
    assert (code, "job" in told) == (3, True)
    assert "The student keeps" in summary
    (tmp_path / "wrong").mkdir()
    assert step(house, tmp_path / "wrong", method="none")[0] == 2


def test_the_action_installs_the_clients_wheel_and_runs_with_nothing_else(
    house: Client, tmp_path: Path
) -> None:
    bare, action = tmp_path / "bare", tmp_path / "action"
    venv.create(bare, with_pip=True)
    action.mkdir()
    python = bare / "bin"
    missing = run(INSTALL, tmp_path, python)
    assert missing.returncode == 2
    assert f"no wheel of the client in {action}" in missing.stdout
    # As docs/pipelines.md makes it.
    (make,) = run_by("wheel")
    for words in map(partial(shlex.split, comments=True), make.commands):
        words[words.index("dist")] = str(action)
        made = [sys.executable, "-m", *words]
        subprocess.run(made, cwd=ROOT, check=True, capture_output=True, timeout=240)
    done = run(INSTALL, tmp_path, python)
    assert done.returncode == 0, done.stderr
    code, told, _ = step(house, tmp_path, python, training={"max_steps": 20})
    assert code == 0
    where = [python / "python", "-c", "import stillhouse; print(stillhouse.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env={}, check=True, capture_output=True, text=True)
    assert found.stdout.startswith(str(bare))
    assert house.get(told["job"])["status"] == "succeeded"
