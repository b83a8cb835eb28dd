"""Curves for other tools: a run of Weights & Biases, by its own library, and a table."""

from __future__ import annotations

import csv
import io
import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from stand import SPEC, Cli, Said, Server, Worker, run_cli, verdict
from stillhouse import Client
from waiting import wait_until

STAGES = ("teacher", "student-0")
STEPS = 2_000  # more than one block of wandb's file


@pytest.fixture
def job(client: Client, worker: Worker) -> str:
    """Give a job that has ended, with curves of two trainings."""
    made = client.submit({**SPEC, "gates": ["student.accuracy >= 0.95"]})["id"]
    claim = worker.take(made)
    worker.tell(claim, *(event for stage in STAGES for event in curve(stage)))
    worker.succeed(claim, passed=False)
    return made


def curve(stage: str) -> list[dict[str, Any]]:
    """Return what a trainer says of one training; a score in every tenth step."""
    role = stage.partition("-")[0]
    where = {"stage": stage, "role": role, "seed": 0}
    steps = range(1, STEPS + 1)
    columns = {
        "step": list(steps),
        "loss": [1 / step for step in steps],
        "validation/accuracy": [None if step % 10 else 0.5 for step in steps],
    }
    return [{"type": "metrics", **where, "columns": columns}]


def exported(server: Server, folder: Path, job: str, *more: str) -> Said:
    """Export a job to a folder, as `wandb sync` would later send it."""
    words = ("export", job, "--to", "wandb", "--project", "digits", "--json", *more)
    home = str(folder)
    return run_cli(*words, url=server.url, WANDB_MODE="offline", WANDB_DIR=home, HOME=home)


def test_a_run_of_weights_and_biases_is_the_job(
    server: Server, client: Client, job: str, tmp_path: Path
) -> None:
    with warnings.catch_warnings(action="ignore"):  # what protobuf says of its own files
        from wandb_file import records
    said = exported(server, tmp_path, job)
    assert said.code == 0, said.err
    folder = Path(said.json["folder"])
    (file,) = folder.glob("*.wandb")
    kept = list(records(file))
    run = next(one.run for one in kept if one.HasField("run"))
    assert (run.run_id, run.project, run.job_type) == (job, "digits", "distil")
    config = {one.key: json.loads(one.value_json) for one in run.config.update}
    asked = client.get(job)
    assert {name: config[name] for name in asked["recipe"]} == asked["recipe"]
    assert config["stillhouse"]["job"] == job

    rows = [values(one.history.item) for one in kept if one.HasField("history")]
    columns = client.metrics(job)["stages"]
    assert said.json["rows"] == len(rows) == len(STAGES) * STEPS
    for stage, one in columns.items():
        mine = [row for row in rows if f"{stage}/step" in row]
        for name, column in one["columns"].items():
            assert [row.get(f"{stage}/{name}") for row in mine] == column
    axes = {one.metric.glob_name: one.metric.step_metric for one in kept if one.HasField("metric")}
    assert {stage: axes[f"{stage}/*"] for stage in STAGES} == {one: f"{one}/step" for one in STAGES}
    assert [row["_step"] for row in rows] == list(range(len(rows)))

    summary: dict[str, Any] = {}
    for one in kept:
        summary |= values(one.summary.update) if one.HasField("summary") else {}
    assert (summary["outcome"], summary["gates_passed"]) == ("beats", False)
    assert (summary["student/accuracy"], summary["uplift/low"]) == (0.9, 0.06)
    assert summary["gates/student.accuracy >= 0.95"] is False
    last = [one.run for one in kept if one.HasField("run")][-1]
    assert last.notes == verdict()["sentence"]
    assert set(last.tags) == {"succeeded", "kd", "beats", "gates not met"}


def test_a_run_that_is_followed_ends_with_its_job(
    server: Server, client: Client, worker: Worker, tmp_path: Path
) -> None:
    made = client.submit(SPEC)["id"]
    claim = worker.take(made)
    worker.tell(claim, *curve("teacher"))
    with ThreadPoolExecutor() as pool:
        said = pool.submit(exported, server, tmp_path, made, "--follow")
        wait_until(lambda: list(tmp_path.rglob("*.wandb")), seconds=60)
        assert not said.done()
        worker.tell(claim, *curve("student-0"))
        worker.succeed(claim)
    assert said.result().json["rows"] == len(STAGES) * STEPS


def values(items: Any) -> dict[str, Any]:
    """Return the values of records by name."""
    return {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in items}


def test_a_table_has_a_row_for_each_step(
    cli: Cli, client: Client, job: str, tmp_path: Path
) -> None:
    said = cli("export", job, "--to", "csv")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert len(rows) == len(STAGES) * STEPS
    metrics = client.metrics(job)["stages"]["student-0"]["columns"]
    mine = [row for row in rows if row["stage"] == "student-0"]
    assert [float(row["loss"]) for row in mine] == metrics["loss"]
    assert [(row["role"], row["seed"], row["validation/accuracy"]) for row in mine[8:10]] == [
        ("student", "0", ""),
        ("student", "0", "0.5"),
    ]
    assert cli("export", job, "--to", "csv", "--out", str(tmp_path / "curves.csv")).out == ""
    assert (tmp_path / "curves.csv").read_text() == said.out


def test_what_does_not_go_together_is_refused(cli: Cli, job: str) -> None:
    for words in (("--to", "csv", "--follow"), ("--to", "wandb", "--out", "curves.csv")):
        said = cli("export", job, *words)
        assert (said.code, "belong" in said.err) == (2, True)
