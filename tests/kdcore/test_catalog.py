"""The catalogue says what an entry needs and what it may join: the truth, and nothing by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from networks import OURS
from pydantic import ValidationError
from recipes import IMAGES, TEXTS, TINY, small_method

from kdcore.catalog import AXES, FIELDS, METHODS, describe
from kdcore.method import Pair
from kdcore.models import MODELS
from kdcore.objectives import OBJECTIVES
from kdcore.recipe import Recipe

ROOT = Path(__file__).parents[2]
ENTRIES = [(axis, name) for axis, entries in AXES.items() for name in entries]
NEEDS = ("needs_labels", "needs_features", "needs_indices", "learns")
MADE_FOR_THEM = {"maskd", "simkd"}
"""Objectives whose networks are made for them."""


def told(axis: str, name: str) -> dict[str, Any]:
    return describe(axis, AXES[axis][name])


def fits(*, tokens: bool, **axes: object) -> bool:
    """Say whether a recipe for small networks is taken: of texts, or convolutional ones."""
    try:
        Recipe.model_validate({**TINY, **(TEXTS if tokens else IMAGES), **axes})
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("cross_entropy", (True, False, False, False)),
        ("kd", (False, False, False, False)),
        ("dkd", (True, False, False, False)),
        ("at", (False, True, False, False)),
        ("fitnet", (False, True, False, True)),
        ("crd", (True, True, True, True)),
    ],
)
def test_an_objective_tells_what_it_needs(name, needs):
    entry = told("objectives", name)
    assert tuple(entry[need] for need in NEEDS) == needs


def test_an_objective_tells_what_it_makes_of_batches_and_networks():
    keys = ("couples_samples", "smallest_batch", "changes_student", "prepares_teacher")
    facts = {name: [told("objectives", name)[key] for key in keys] for name in OBJECTIVES}
    assert [told("objectives", name)["needs_tokens"] for name in ("minilm", "kd")] == [True, False]
    assert facts["kd"] == [False, 1, False, False]
    assert facts["rkd"] == [True, 3, False, False]
    assert facts["simkd"] == [False, 1, True, False]
    assert facts["maskd"] == [False, 1, False, True]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_the_needs_of_all_that_it_writes(name):
    method = told("methods", name)
    parts: list[dict[str, Any]] = []
    for axis, field in FIELDS.items():
        written = method["axes"].get(field, [])
        parts += [
            told(axis, one["name"]) for one in (written if isinstance(written, list) else [written])
        ]
    for need in (*NEEDS, "couples_samples", "changes_student", "prepares_teacher", "needs_tokens"):
        assert method[need] == any(part.get(need, False) for part in parts), need
    assert method["smallest_batch"] == max(part.get("smallest_batch", 1) for part in parts)


def test_needs_come_from_temperatures_and_weightings_too():
    assert told("methods", "ctkd")["learns"]
    assert told("methods", "ipwd")["needs_features"]
    assert not told("methods", "simkd")["needs_labels"]


@pytest.mark.parametrize("axis", ["temperatures", "weightings", "curricula"])
@pytest.mark.parametrize("name", METHODS)
def test_what_may_join_a_method_is_what_a_recipe_takes(name, axis):
    joined, tokens = told("methods", name)["joins"][axis], told("methods", name)["needs_tokens"]
    taken = [
        other
        for other in AXES[axis]
        if fits(tokens=tokens, method=small_method(name), **{FIELDS[axis]: {"name": other}})
    ]
    assert joined["entries"] == taken
    assert joined["may"] == (len(taken) > 1)
    assert (joined["why_not"] is None) == (len(taken) == len(AXES[axis]))


@pytest.mark.parametrize("axis", ["temperatures", "weightings"])
@pytest.mark.parametrize(
    "name",
    [name for name, one in OBJECTIVES.items() if one.needs_teacher and name not in MADE_FOR_THEM],
)
def test_what_may_join_an_objective_is_what_a_recipe_takes(name, axis):
    entry = told("objectives", name)
    assert entry["joins"][axis]["entries"] == [
        other
        for other in AXES[axis]
        if any(
            fits(
                tokens=entry["needs_tokens"],
                task=task,
                objectives=[name],
                **{FIELDS[axis]: {"name": other}},
            )
            for task in entry["tasks"]
        )
    ]


@pytest.mark.parametrize(("axis", "name"), [pair for pair in ENTRIES if pair[0] in FIELDS])
def test_joining_is_mutual(axis, name):
    for other, joined in told(axis, name)["joins"].items():
        back = [one for one in AXES[other] if name in told(other, one)["joins"][axis]["entries"]]
        assert joined["entries"] == back


def test_what_may_not_join_says_why():
    sp = told("objectives", "sp")["joins"]
    assert sp["weightings"] == {
        "may": False,
        "entries": ["uniform"],
        "why_not": "samples are compared with each other, so none has a loss of its own",
    }
    assert sp["temperatures"]["why_not"] == "softened logits are not compared"
    assert sp["paths"]["may"]
    assert sp["paths"]["why_not"] is None
    assert told("methods", "sp")["joins"]["weightings"] == sp["weightings"]
    labels = told("objectives", "cross_entropy")["joins"]
    assert labels["weightings"]["why_not"] == "the teacher is not followed"


def test_axes_that_nothing_joins_say_nothing_of_it():
    assert "joins" not in told("models", "mlp")
    assert "joins" not in told("datasets", "digits")
    assert set(told("methods", "kd")["joins"]) == set(FIELDS) - {"objectives"}
    assert set(told("paths", "direct")["joins"]) == set(FIELDS) - {"paths"}


def test_what_a_paper_chose_by_pair_is_a_list_of_rows():
    rows = told("methods", "dkd")["by_pair"]
    row = {"field": "beta", "teacher": "wrn_40_2", "student": "wrn_16_2", "value": 6.0}
    assert row in rows
    assert told("methods", "kd")["by_pair"] == []
    for name, method in METHODS.items():
        for row in told("methods", name)["by_pair"]:
            pair = Pair(row["teacher"], row["student"])
            assert method.by_pair[row["field"]][pair] == row["value"]


@pytest.mark.parametrize("name", OURS)
def test_a_model_tells_its_sizes_by_name_and_its_stages(name):
    model = told("models", name)
    for label, fields in model["known"].items():
        assert MODELS[name].model_validate(fields).label() == label
    network = MODELS[name]().build((3, 32, 32), 10)
    assert list(model["stages"]) == [stage for stage, _ in network.named_children()]
    assert model["stages"]["head"] == [10]


@pytest.mark.parametrize(("axis", "name"), ENTRIES)
def test_what_is_told_is_json(axis, name):
    assert json.loads(json.dumps(told(axis, name))) == told(axis, name)


def test_the_catalogue_tells_everything_where_torch_is_missing():
    program = (
        "import no_torch\n"
        "from kdcore.catalog import AXES, describe\n"
        "print(sum(len(describe(a, e)) for a, es in AXES.items() for e in es.values()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests/architecture")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == sum(len(told(*pair)) for pair in ENTRIES)
