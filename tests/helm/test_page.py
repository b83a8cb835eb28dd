"""The chart takes what the pages tell to give it: their values, and `--set` in their commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import yaml
from chart import CHART, documents
from docs_blocks import ROOT, Block, run_by

VALUES = run_by("values")
CLUSTER = run_by("cluster")


def spread(path: str, value: Any) -> dict[str, Any]:
    """Return the value at its place, as `--set` puts it there."""
    first, _, rest = path.partition(".")
    return {first: spread(rest, value) if rest else value}


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {key: merged(one[key], other[key]) for key in one.keys() & other.keys() if key in one}
    return {**one, **other, **both} if isinstance(one, dict) and isinstance(other, dict) else other


def commands() -> Iterator[tuple[Block, list[str]]]:
    for block in CLUSTER:
        for line in block.commands:
            if line.startswith("helm "):
                yield block, shlex.split(line, comments=True)


@pytest.mark.parametrize("block", VALUES, ids=str)
def test_the_chart_takes_the_values_of_a_block(block: Block) -> None:
    assert documents(yaml.safe_load(block.text)) != documents()


@pytest.mark.parametrize(("block", "words"), [*commands()], ids=str)
def test_the_chart_takes_what_a_command_sets(block: Block, words: list[str]) -> None:
    values: dict[str, Any] = {}
    for flag, given in pairwise(words):
        if flag == "--set":
            path, _, value = given.partition("=")
            # A revision is a text, and Helm keeps a number that begins with 0 as one.
            read = value if value.startswith("0") else yaml.safe_load(value)
            values = merged(values, spread(path, read))
    assert not values or documents(values) != documents()
    assert [one for one in words if one.startswith("deploy/") and ROOT / one != CHART] == []


@pytest.mark.parametrize("block", CLUSTER, ids=str)
def test_what_a_command_names_is_what_the_chart_makes(block: Block) -> None:
    trial = yaml.safe_load_all((CHART.parent / "trial.yaml").read_text())
    # Both are called for a release, each for another one.
    made = {role(str(one["metadata"]["name"])) for one in [*documents(), *trial]}
    named = re.findall(r"(?:deploy|service|statefulset)/(stillhouse[\w-]*)", block.text)
    assert [name for name in named if role(name) not in made] == []
    for path in re.findall(r"-f (\S+/\S+)", block.text):
        assert (ROOT / path).is_file(), path


def role(name: str) -> str:
    return name.rpartition("stillhouse-")[2]
