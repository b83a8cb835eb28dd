"""The command behind the results page: what it measures, keeps, takes up again, and admits."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from benchmarks.results.asked import compares_tokens, read_tasks
from kdcore.catalog import METHODS
from kdcore.errors import RecipeError
from kdcore.verdict import decide, paired_interval

ROOT = Path(__file__).parents[2]
RECIPE: dict[str, Any] = {
    "name": "tiny | and quick",
    "teacher": {"model": {"name": "mlp", "hidden": [24]}},
    "student": {"model": {"name": "mlp", "hidden": [4]}},
    "data": {"name": "synthetic", "labelled": 32, "validation_size": 32, "noise": 3.0},
    "training": {
        "max_steps": 400,
        "per_device_train_batch_size": 16,
        "eval_steps": 100,
        "save_steps": 50,
    },
    "baseline": {"hard_labels": True},
    "seeds": [0, 1],
    "options": {"dkd": {"beta": 1_000_000}},
}
METHODS_ASKED = ["dist", "rco", "dkd", "dgkd"]
TEST_SIZE = 256


def start(folder: Path, name: str, **changes: Any) -> subprocess.Popen[str]:
    """Start the command in a working folder of that name."""
    recipe = folder / "tiny.yaml"
    recipe.write_text(yaml.safe_dump({**RECIPE, **changes}))
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.results", "--recipe", recipe),
            *("--work", folder / name, "--out", folder / f"{name}.md", "--jobs", "2"),
            *("--methods", *METHODS_ASKED),
        ],
        cwd=ROOT,
        env={**os.environ, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 0, said
    return said


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def results(work: Path) -> dict[str, dict[str, Any]]:
    """Return what is kept of each method."""
    kept = [json.loads(file.read_text()) for file in work.glob("*/result.json")]
    return {result["method"]: result for result in kept}


def numbers(work: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Return all scores by method and stage."""
    return {
        method: {name: stage["scores"] for name, stage in result["stages"].items()}
        for method, result in results(work).items()
    }


def rows(page: Path) -> dict[str, list[str]]:
    """Return the table of a page by its first column."""
    lines = [line for line in page.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {name.partition("`")[2].partition("`")[0] or name: rest for name, *rest in cells}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder in which the command has run once, undisturbed, into `calm`."""
    folder = tmp_path_factory.mktemp("results")
    finish(start(folder, "calm"))
    return folder


@pytest.mark.slow
def test_the_page_has_a_row_for_the_teacher_the_controls_and_every_method(house: Path) -> None:
    table = rows(house / "calm.md")
    assert {"teacher", "student alone", "kd", *METHODS_ASKED} < set(table)
    kept = results(house / "calm")
    for method in ("kd", "dist", "rco"):
        verdict = kept[method]["verdict"]
        values = verdict["student"]["score"]["values"]
        mean, spread = sum(values) / 2, abs(values[0] - values[1]) / 2**0.5
        assert table[method][0] == f"{100 * mean:.2f} ± {100 * spread:.2f}"
        chosen = [kept[method]["stages"][f"student-{seed}"]["scores"] for seed in (0, 1)]
        selected = sum(scores["selected_accuracy"] for scores in chosen) / 2
        assert table[method][1].startswith(f"{100 * selected:.2f} ± ")
        alone = kept["kd"]["verdict"]["baseline"]["score"]["values"]
        assert table[method][2:4] == compared(values, alone)
    plain = kept["kd"]["verdict"]["student"]["score"]["values"]
    other = kept["dist"]["verdict"]["student"]["score"]["values"]
    assert table["dist"][4:6] == compared(other, plain)
    assert float(table["dist"][6]) > 0


def compared(one: list[float], other: list[float]) -> list[str]:
    interval = paired_interval(
        [a - b for a, b in zip(one, other, strict=True)], 0.95, 1 / TEST_SIZE
    )
    assert interval is not None
    mean, low, high = (100 * value for value in (interval.mean, interval.low, interval.high))
    return [f"{mean:+.2f} [{low:+.2f}, {high:+.2f}]", decide(interval, 0.005)]


@pytest.mark.slow
def test_methods_stand_in_the_order_of_their_means(house: Path) -> None:
    table = rows(house / "calm.md")
    means = [
        float(table[name][0].partition(" ")[0]) for name in table if name in {"kd", "dist", "rco"}
    ]
    assert means == sorted(means, reverse=True)


@pytest.mark.slow
def test_a_method_that_fails_has_a_row_with_the_reason(house: Path) -> None:
    table = rows(house / "calm.md")
    assert table["dkd"][0].startswith("failed: the loss became")
    assert table["dgkd"][0].startswith("failed: /method/assistants: found nothing")
    assert len(table["dkd"]) == len(table["kd"])


@pytest.mark.slow
def test_teacher_and_controls_are_trained_once_but_for_a_path_along_the_teachers_training(
    house: Path,
) -> None:
    kept = results(house / "calm")
    trained = {
        method: [name for name, stage in result["stages"].items() if stage["seconds"] is not None]
        for method, result in kept.items()
    }
    assert len(trained["kd"]) == 7
    assert trained["dist"] == ["student-0", "student-1"]
    assert trained["rco"] == ["teacher", "student-0", "student-1"]
    for name in ("teacher", "baseline-0", "baseline-1", "hard_labels-0"):
        scores = [
            result["stages"][name]["scores"] for result in kept.values() if result["finished"]
        ]
        assert all(one["accuracy"] == scores[0]["accuracy"] for one in scores)


@pytest.mark.slow
def test_started_again_it_runs_nothing_and_writes_the_same_page(house: Path) -> None:
    page = house / "calm.md"
    before = page.read_bytes()
    files = {
        file: file.stat().st_mtime_ns for file in (house / "calm").rglob("*") if file.is_file()
    }
    finish(start(house, "calm"))
    assert page.read_bytes() == before
    assert {file: file.stat().st_mtime_ns for file in files} == files
    assert len(files) == len([file for file in (house / "calm").rglob("*") if file.is_file()])


@pytest.mark.slow
def test_interrupted_and_killed_in_the_middle_it_comes_to_the_same_numbers(house: Path) -> None:
    work = house / "rough"

    def has(pattern: str) -> bool:
        return next(work.glob(pattern), None) is not None

    process = start(house, "rough")
    wait_for(lambda: has("kd-*/run/stages/baseline-0.json"), process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "goes on from here" in said
    assert not results(work)["kd"]["finished"]
    assert not (house / "rough.md").exists()

    process = start(house, "rough")
    wait_for(lambda: has("dist-*/run/checkpoints/student-*/*"), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not results(work).get("dist", {}).get("finished")

    finish(start(house, "rough"))
    assert numbers(work) == numbers(house / "calm")
    but_seconds = [
        {name: [*cells[:6], *cells[7:]] for name, cells in rows(house / f"{name}.md").items()}
        for name in ("calm", "rough")
    ]
    assert but_seconds[0] == but_seconds[1]
    assert [one for one in psutil.process_iter(["cmdline"]) if _works_in(one, work)] == []


def _works_in(process: psutil.Process, work: Path) -> bool:
    return any(str(work) in word for word in process.info["cmdline"] or [])


@pytest.mark.slow
def test_a_changed_recipe_leaves_what_was_measured_alone(house: Path) -> None:
    tasks = {}
    for steps in (400, 401):
        file = house / f"{steps}.yaml"
        training = {**RECIPE["training"], "max_steps": steps}
        file.write_text(yaml.safe_dump({**RECIPE, "training": training}))
        tasks[steps] = read_tasks(file, ["dist"], [])
    for before, after in zip(*tasks.values(), strict=True):
        assert before.folder(house / "calm").is_dir()
        assert before.folder(house / "calm") != after.folder(house / "calm")


def test_every_recipe_of_the_examples_can_be_asked_for() -> None:
    for file in (ROOT / "examples").glob("*.yaml"):
        if file.name in {"digit_unlabelled.yaml", "digit_vectors.yaml"}:
            continue  # without labels there is no baseline, against which methods are held
        tasks = read_tasks(file, [], [])
        assert tasks[0].method == "kd"
        foreign = file.name in {"texts.yaml", "timm_pair.yaml"}
        suited = {name for name in METHODS if foreign or not compares_tokens(name)}
        assert {task.method for task in tasks} == suited
        assert all(task.shares_with(tasks[0]) for task in tasks if task.recipe)
        refused = {task.method: task.refusal for task in tasks if not task.recipe}
        assert not (refused if file.name.startswith("results") else {}), refused


def test_options_in_the_recipes_own_method_count_and_seeds_can_be_replaced(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    method = {"name": "kd", "temperature": 2.0}
    file.write_text(yaml.safe_dump({**RECIPE, "method": method, "options": {}}))
    (task,) = read_tasks(file, ["kd"], [7, 8, 9])
    assert task.recipe is not None
    assert task.recipe.temperature.model_dump() == {"name": "fixed", "value": 2.0}
    assert task.recipe.seeds == [7, 8, 9]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"temperature": 2.0}, "found temperature; expected a recipe that leaves the axes"),
        ({"options": {"dkb": {}}}, "found 'dkb', which is no method"),
        ({"options": {"dkd": [1]}}, "expected a mapping from fields of dkd"),
        ({"seeds": []}, "/seeds"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump({**RECIPE, **changes}))
    with pytest.raises(RecipeError, match=re.escape(words)):
        read_tasks(file, [], [])
