"""What a spec says fits into MLflow, whatever it says, and leads into no other project."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from specs import document
from stage_worker import verdict

from jobs.metrics import Series
from jobs.mlflow_words import (
    KEY_CHARACTERS,
    MOST_BYTES,
    MOST_METRICS,
    MOST_PARAMS,
    PARAM_CHARACTERS,
    calls,
    key_of,
    model_of,
    numbers_of,
    params_of,
    points_of,
)
from jobs.settings import Settings
from jobs.spec import JobSpec

WORDS = st.text(max_size=400)
DOCUMENTS = st.dictionaries(
    WORDS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
        max_leaves=12,
    ),
    max_size=6,
)


def _takes_param(key: str, value: str) -> None:
    """Ask MLflow's own rules.

    Raises:
        mlflow.exceptions.MlflowException: they are broken.
    """
    from mlflow.utils.validation import _validate_param

    _validate_param(key, value)


def test_a_resolved_spec_is_flat_and_without_what_is_unset() -> None:
    spec = JobSpec.model_validate(document(seeds=[3, 4], training={"max_steps": 70}))
    params = params_of(spec.model_dump(mode="json"))
    assert params["training.max_steps"] == "70"
    assert params["seeds"] == "[3, 4]"
    assert params["student.model.name"] == "mlp"
    assert "null" not in params.values()


@settings(deadline=None, max_examples=60)  # the first one waits for MLflow's client
@given(DOCUMENTS)
def test_whatever_a_document_holds_mlflow_takes_its_params(content: dict[str, Any]) -> None:
    params = params_of(content)
    for key, value in params.items():
        _takes_param(key, value)
    told = [entry for part in calls(params.items()) for entry in part]
    assert told == [*params.items()]


def test_keys_that_would_be_one_stay_two() -> None:
    assert params_of({"a?": 1, "a!": 2, "a": 3}) == {"a_": "1", "a__2": "2", "a": "3"}
    assert key_of("..", "", "a//b") == "_/_/a/_/b"
    assert len(key_of("x" * 300, "y")) == KEY_CHARACTERS


def test_long_values_are_cut_and_calls_stay_below_what_mlflow_takes() -> None:
    params = params_of({f"key-{place}": "ü" * 7000 for place in range(250)})
    assert {len(value) for value in params.values()} == {PARAM_CHARACTERS}
    parts = [*calls(params.items())]
    assert [len(one) for one in calls((str(place), "") for place in range(250))] == [
        MOST_PARAMS,
        MOST_PARAMS,
        50,
    ]
    assert all(len(json.dumps(part)) < MOST_BYTES + 100_000 for part in parts)


def test_points_of_a_step_are_never_torn_apart() -> None:
    steps = [*range(1, 701)]
    columns: dict[str, list[float | int | None]] = {
        "step": [*steps],
        "loss": [0.5] * 700,
        "validation/accuracy": [0.9 if step % 2 else None for step in steps],
    }
    parts = [*points_of("student-0", Series(0, columns))]
    assert max(map(len, parts)) <= MOST_METRICS
    assert sum(map(len, parts)) == 700 + 350
    lasts = [part[-1][2] for part in parts]
    assert [part[0][2] for part in parts[1:]] == [step + 1 for step in lasts[:-1]]
    assert {point[0] for part in parts for point in part} == {
        "student-0/loss",
        "student-0/validation/accuracy",
    }


def test_a_verdict_is_numbers_under_the_names_of_its_gates() -> None:
    found = verdict()
    numbers = numbers_of(found.model_dump(mode="json"))
    assert numbers["verdict/student/accuracy"] == found.student.score.mean
    assert numbers["verdict/uplift/low"] == (found.uplift.low if found.uplift else None)
    assert numbers["verdict/controls/hard_labels/parameters"] == 2410
    assert numbers["gate/retention"] == found.retention
    assert numbers["gates_passed"] == 0


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("", "stillhouse-a"),
        ("edge", "stillhouse-a.edge"),
        ("../b", "stillhouse-a.b"),
        ("stillhouse-b", "stillhouse-a.stillhouse-b"),
        ("a/b:c ü", "stillhouse-a.a-b-c"),
        ("...", "stillhouse-a"),
        ("x" * 256, f"stillhouse-a.{'x' * 100}"),
    ],
)
def test_a_label_names_a_model_of_its_own_project_alone(label: str, name: str) -> None:
    assert model_of(Settings(), "a", {"registered-model": label}) == name
    other = model_of(Settings(), "a-x", {"registered-model": label})
    assert other.partition(".")[0] == "stillhouse-a-x"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STILLHOUSE_MLFLOW_ALIAS", "v12"),
        ("STILLHOUSE_MLFLOW_ALIAS", "latest"),
        ("STILLHOUSE_MLFLOW_ALIAS", "a b"),
        ("STILLHOUSE_MLFLOW_MODEL", "a/{project}"),
        ("STILLHOUSE_MLFLOW_MODEL", "{name}"),
        ("STILLHOUSE_MLFLOW_EXPERIMENT", "{project}:"),
    ],
)
def test_names_that_mlflow_refuses_are_refused_at_start(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError, match="found '"):
        Settings()
