"""Specs from files and --set."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from stillhouse.errors import SpecError
from stillhouse.spec import apply, parse, read_spec


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("training.epochs=5", {"training": {"epochs": 5, "rate": 0.1}}),
        ("training.rate=1e-3", {"training": {"epochs": 1, "rate": 0.001}}),
        ("seeds=[0, 1]", {"seeds": [0, 1]}),
        ("name=it's a = sign", {"name": "it's a = sign"}),
        ("name=", {"name": None}),
        ("method={name: dkd, beta: 2}", {"method": {"name": "dkd", "beta": 2}}),
        ("new.deep.path=true", {"new": {"deep": {"path": True}}}),
        ("gates.0=retention > 1", {"gates": ["retention > 1"]}),
        ("gates.1=more", {"gates": ["first", "more"]}),
        ("list.0.weight=2", {"list": [{"weight": 2}]}),
    ],
)
def test_set_changes_one_place(change: str, expected: dict[str, Any]) -> None:
    spec: dict[str, Any] = {
        "training": {"epochs": 1, "rate": 0.1},
        "gates": ["first"],
        "list": [{"weight": 1}],
        "method": "kd",
    }
    apply(spec, change)
    assert {key: spec[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("training.epochs", "expected path=value"),
        ("=5", "expected path=value"),
        ("method.beta=2", 'method is "kd", which holds no fields'),
        ("gates.7=x", "gates is a list; found '7', expected 0 to 1"),
        ("gates.first=x", "gates is a list"),
        ("a=[1", "no YAML and no JSON"),
    ],
)
def test_set_without_a_place_says_why(change: str, says: str) -> None:
    with pytest.raises(SpecError, match="--set") as caught:
        apply({"method": "kd", "gates": ["first"]}, change)
    assert says in str(caught.value)


def test_yaml_has_json_values_only() -> None:
    assert parse("{a: 1e-3, b: 2026-01-01, c: -1.5E+2, d: 1e5, e: '1e5'}") == {
        "a": 0.001,
        "b": "2026-01-01",
        "c": -150.0,
        "d": 100000.0,
        "e": "1e5",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: &x [1]\nb: *x", "aliases"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' stands here a second time"),
        ("? [1, 2]\n: 3", "a key must be a word"),
        ("a: !!python/object:os.system {}", "no YAML and no JSON"),
        ("a: [" * 5000, "no YAML and no JSON"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(text: str, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        parse(text)


def test_files_and_standard_input_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"name": "ü", "seeds": [1]}
    (tmp_path / "spec.json").write_text(json.dumps(document))
    assert read_spec(str(tmp_path / "spec.json"), ["seeds=[2]"]) == {"name": "ü", "seeds": [2]}
    monkeypatch.setattr("sys.stdin", io.StringIO("name: ü\nseeds: [1]\n"))
    assert read_spec("-") == document


@pytest.mark.parametrize("content", ["", "- 1", "just a word", "12"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "spec.yaml").write_text(content)
    with pytest.raises(SpecError, match="expected a mapping"):
        read_spec(str(tmp_path / "spec.yaml"))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    for name in ("none.yaml", "latin.yaml"):
        with pytest.raises(SpecError, match=name):
            read_spec(str(tmp_path / name))
