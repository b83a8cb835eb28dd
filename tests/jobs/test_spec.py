"""What a client may post, beyond what makes a recipe."""

from typing import Any

import pytest
from pydantic import ValidationError
from specs import document

from jobs.spec import JobSpec
from kdcore.recipe import Recipe
from kdcore.validation import explain


def problems(sent: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate(sent)
    return {found.pointer: found.code for found in explain(caught.value, JobSpec, sent)}


def test_a_spec_holds_a_recipe_and_the_service_fields() -> None:
    spec = JobSpec.model_validate(document(labels={"team": "vision"}, priority=70))
    assert spec.recipe() == Recipe.model_validate(document())
    assert (spec.labels, spec.priority, spec.max_attempts) == ({"team": "vision"}, 70, 5)


def test_the_resolved_form_is_valid_and_stays_the_same() -> None:
    spec = JobSpec.model_validate(document(method="dkd", labels={"a": "b"}))
    assert JobSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("a\0b", "nul_character"),
        ("\ud800", "lone_surrogate"),
        ("tail\udfff", "lone_surrogate"),
    ],
    ids=ascii,
)
def test_text_that_no_database_keeps_is_refused_where_it_stands(bad: str, code: str) -> None:
    assert problems(document(name=bad)) == {"/name": code}
    assert problems(document(labels={"note": bad})) == {"/labels/note": code}
    assert problems(document(labels={bad: "x"})) == {"/labels": code}
    assert set(problems(document(labels={bad: bad})).values()) == {code}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_cannot_say_are_refused_anywhere(bad: float) -> None:
    sent = document(training={"learning_rate": bad})
    assert problems(sent) == {"/training/learning_rate": "not_finite"}


def test_a_document_of_a_thousand_levels_is_refused_without_a_crash() -> None:
    deep: Any = "bottom"
    for _ in range(5000):
        deep = [deep]
    assert problems(document(gates=deep)) == {"": "too_deep"}


def test_a_document_of_too_many_values_is_refused() -> None:
    assert problems(document(seeds=list(range(5_000)))) == {"": "too_many_values"}


def test_a_key_that_is_no_text_is_refused() -> None:
    assert problems(document(labels={1: "{braces}"})) == {"/labels": "key_not_text"}


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../secret.npz",
        "a/../../b.npz",
        "\\\\host\\share",
        "C:\\x",
        "~/x",
        "a\\..\\b",
    ],
)
def test_a_path_out_of_the_inputs_folder_is_refused(path: str) -> None:
    sent = document(data={"name": "arrays", "path": path})
    assert problems(sent) == {"/data/path": "path_outside_inputs"}
    sent = document(teacher={"model": "mlp", "weights": path})
    assert problems(sent) == {"/teacher/weights": "path_outside_inputs"}


def test_a_path_inside_the_inputs_folder_is_fine() -> None:
    JobSpec.model_validate(document(data={"name": "arrays", "path": "sets/mine.v2..npz"}))


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"priority": 101}, "/priority"),
        ({"priority": True}, "/priority"),
        ({"max_attempts": 0}, "/max_attempts"),
        ({"max_runtime_seconds": 0}, "/max_runtime_seconds"),
        ({"labels": {f"k{i}": "v" for i in range(17)}}, "/labels"),
        ({"labels": {"k": "v" * 257}}, "/labels/k"),
        ({"owner": "me"}, "/owner"),
    ],
)
def test_service_fields_have_bounds(fields: dict[str, Any], pointer: str) -> None:
    assert list(problems(document(**fields))) == [pointer]
