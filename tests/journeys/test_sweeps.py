"""A sweep from the command line to a leaderboard, with a real worker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running import running_house
from stillhouse.cli import app
from typer.testing import CliRunner

from jobs.settings import Settings

pytestmark = pytest.mark.slow

SWEEP: dict[str, Any] = {
    "name": "sizes",
    "spec": {
        "teacher": {"model": {"name": "mlp", "hidden": [24]}},
        "student": {"model": {"name": "mlp", "hidden": [6]}},
        "data": "digits",
        "training": {"max_steps": 30},
        "seeds": [0],
        "export": ["safetensors"],
        "baseline": False,
    },
    "space": {"training.learning_rate": [0.001, 0.05], "/student/model/hidden": [[4], [16]]},
    "objectives": ["student.accuracy", "parameters"],
}


def test_a_grid_of_real_jobs_is_ranked_and_a_student_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sweep.json").write_text(json.dumps(SWEEP))
    spec = {name: value for name, value in SWEEP["spec"].items() if name != "student"}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    settings = Settings(data=tmp_path / "data")
    with running_house(settings, tmp_path, STILLHOUSE_SWEEP_SECONDS="0.2") as house:
        monkeypatch.setenv("STILLHOUSE_URL", house.url)

        def run(*words: str) -> Any:
            done = CliRunner().invoke(app, ["sweeps", *words, "--json"], catch_exceptions=False)
            assert done.exit_code == 0, done.output
            return json.loads(done.stdout)

        board = run("submit", str(tmp_path / "sweep.json"), "--wait", "--timeout", "240")
        assert board["status"] == "completed"
        assert [one["rank"] for one in board["data"]] == [1, 2, 3, 4]
        assert {one["status"] for one in board["data"]} == {"succeeded"}
        said = [house.get(one["job"])["progress"]["teacher_cache"] for one in board["data"]]
        assert [one["written"] for one in said].count(1) == 1, "one of them asks the teacher"
        assert sum(one["hits"] for one in said) == 3, "and the others read what it has kept"
        best = board["data"][0]
        assert best["on_front"]
        scores = [one["values"]["student.accuracy"] for one in board["data"]]
        assert scores[0] == max(scores)
        job = house.get(best["job"])
        assert job["verdict"] is not None
        assert best["values"]["student.accuracy"] == job["verdict"]["student"]["score"]["mean"]
        assert [one["id"] for one in run("list")] == [board["sweep"]]
        limits = ("--limit", "parameters <= 2000", "--candidates", "2")
        found = run("find", str(tmp_path / "spec.json"), *limits, "--wait", "--timeout", "240")
        assert [one["rank"] for one in found["data"]] == [1, 2]
        assert all(one["values"]["parameters"] <= 2000 for one in found["data"])
