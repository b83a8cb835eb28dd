"""What the command line shows of the catalogue, and how a job's networks are named in its story."""

from __future__ import annotations

import re
from typing import Any

import pytest
from stand import SPEC, Cli, Worker
from stillhouse import Client
from stillhouse.story import Stage

AXES = ("objectives", "temperatures", "weightings", "paths", "curricula", "architectures")


def shown(text: str) -> str:
    """Return output without the padding of its columns."""
    return "\n".join(re.sub(r" {2,}", "  ", line).strip() for line in text.splitlines())


def test_the_list_of_methods_tells_what_each_needs(cli: Cli) -> None:
    lines = {line.split()[0]: line for line in cli("methods").out.splitlines() if line.split()}
    assert "labels, features, indices, layers of its own" in lines["crd"]
    assert "arXiv:1910.10699" in lines["crd"]
    assert "features, a changed student" in lines["simkd"]
    assert "features" not in lines["kd"]


def test_one_method_is_shown_with_its_needs_options_and_neighbours(cli: Cli) -> None:
    said = shown(cli("methods", "sp").out)
    assert "needs  labels, features, several samples at once" in said
    assert "smallest batch  2" in said
    assert (
        "with weightings  uniform alone; not the others: samples are compared with each other"
        in said
    )
    assert re.search(r"with paths  .*takd", said)
    assert "weight  3000.0: Factor of SP" in said
    dkd = shown(cli("methods", "dkd").out)
    assert "beta of a pair  6: vgg13 -> vgg8" in dkd
    assert "beta  null: Factor of the non-target-class term" in dkd
    assert "to be given: The networks between" in shown(cli("methods", "dgkd").out)


@pytest.mark.parametrize("axis", AXES)
def test_every_axis_can_be_listed_and_its_entries_shown(cli: Cli, axis: str) -> None:
    listed = cli("methods", "--axis", axis, "--json").json
    assert len(listed) > 1
    said = cli("methods", "--axis", axis, listed[0]["name"])
    assert said.code == 0
    assert listed[0]["formula"].splitlines()[0] in said.out


def test_an_architecture_is_shown_with_its_sizes_and_stages(cli: Cli) -> None:
    said = shown(cli("methods", "--axis", "architectures", "vgg").out)
    assert "sizes by name  vgg8, vgg11, vgg13" in said
    assert "stages at 3x32x32  stem 64x32x32, stage1 128x16x16" in said


@pytest.mark.parametrize(
    ("name", "role", "title"),
    [
        ("teacher", "teacher", "teacher"),
        ("tutor-maskd-teacher-3", "tutor", "tutor maskd teacher, seed 3"),
        ("assistant-2-3", "assistant", "assistant 2, seed 3"),
        ("hard_labels-3", "hard_labels", "hard labels, seed 3"),
        ("student-3", "student", "student, seed 3"),
    ],
)
def test_a_training_is_named_by_role_place_and_seed(name: str, role: str, title: str) -> None:
    assert Stage(name, role, 3).title == title


def test_the_choice_of_a_teacher_is_told(cli: Cli, client: Client, worker: Worker) -> None:
    chosen: dict[str, Any] = {
        "type": "teacher.chosen",
        "stage": "student-0",
        "seed": 0,
        "teacher": "assistant-2-0",
        "scores": {"assistant-1-0": 0.97, "assistant-2-0": 0.925},
        "target": 0.94,
    }
    job_id = client.submit(SPEC)["id"]
    claim = worker.take(job_id)
    worker.tell(claim, chosen)
    worker.succeed(claim)
    line = (
        "assistant-2-0 teaches student-0: it is nearest the midpoint 94.0 % "
        "(of assistant-1-0 97.0 %, assistant-2-0 92.5 %)"
    )
    assert line in cli("watch", job_id).err
