"""The waist: what a recipe accepts, fills in, and says of what it refuses."""

from typing import Any

import pytest
from pydantic import ValidationError
from recipes import TINY, tiny

from kdcore.errors import RecipeError
from kdcore.models.resnet import ResNet
from kdcore.recipe import Recipe
from kdcore.validation import FieldProblem, explain
from kdcore.yaml_text import read_yaml


def problems(document: Any) -> list[FieldProblem]:
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(document)
    return explain(caught.value, Recipe, document)


def test_short_forms_stand_for_long_ones():
    short = Recipe.model_validate(
        {
            "teacher": "resnet",
            "student": "mlp",
            "data": "digits",
            "temperature": 2,
            "baseline": False,
        }
    )
    assert short.teacher.model.name == "resnet"
    assert short.temperature.model_dump() == {"name": "fixed", "value": 2.0}
    assert not short.baseline.enabled


def test_the_method_fills_in_the_axes_that_are_not_written_out():
    recipe = tiny(method={"name": "dkd", "beta": 2.0}, temperature=1)
    assert [objective.name for objective in recipe.objectives] == ["cross_entropy", "dkd"]
    assert recipe.objectives[1].model_dump()["beta"] == 2.0
    assert recipe.temperature.model_dump()["value"] == 1
    assert tiny().method is not None


def test_axes_may_be_written_out_without_a_method():
    recipe = tiny(objectives=[{"name": "kd", "weight": 0.5}])
    assert recipe.method is None
    assert [objective.weight for objective in recipe.objectives] == [0.5]


def test_the_digest_is_of_what_is_computed():
    assert tiny(name="a").digest() == tiny(name="b").digest()
    assert tiny(seeds=[1]).digest() != tiny(seeds=[2]).digest()


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"studnet": "mlp"}, "/studnet", "did you mean 'student'?"),
        ({"method": "dkdd"}, "/method", "did you mean 'dkd'?"),
        ({"method": {"name": "dkd", "betta": 1}}, "/method/betta", "did you mean 'beta'?"),
        ({"method": {"name": "dkd", "beta": -1}}, "/method/beta", "found -1"),
        ({"method": {"beta": 1}}, "/method", "name"),
        ({"method": {"name": "takd"}}, "/method", "write `candidates`"),
        (
            {"method": {"name": "takd", "assistants": ["mpl"]}},
            "/method/assistants/0",
            "did you mean",
        ),
        (
            {"method": {"name": "takd", "assistants": [{"name": "mlp", "hiden": [3]}]}},
            "/method/assistants/0/hiden",
            "did you mean 'hidden'?",
        ),
        ({"temperature": 0}, "/temperature", "0.001"),
        ({"temperature": True}, "/temperature", "found True"),
        ({"objectives": []}, "/objectives", "at least 1"),
        ({"objectives": [{"name": "kd", "weight": 0}]}, "/objectives", "follows the teacher"),
        ({"objectives": ["cross_entropy"]}, "/objectives", "follows the teacher"),
        ({"teacher": {"model": "mlp", "weights": "../x"}}, "/teacher/weights", "inside the inputs"),
        ({"objectives": ["kd", {"name": "kd", "wieght": 1}]}, "/objectives/1/wieght", "'weight'"),
        ({"training": {"max_steps": "5"}}, "/training/max_steps", "found '5'"),
        ({"training": {"max_steps": 5.0}}, "/training/max_steps", "found 5.0"),
        ({"training": {"max_steps": True}}, "/training/max_steps", "found True"),
        ({"training": {"max_steps": 10**12}}, "/training/max_steps", "10000000"),
        ({"training": {"max_steps": 1, "num_train_epochs": 1}}, "/training", "one of them"),
        ({"training": {"num_train_epochs": 10**9}}, "/training/num_train_epochs", "10000"),
        ({"training": {"learning_rate": float("nan")}}, "/training/learning_rate", "nan"),
        ({"training": {"learning_rate": float("inf")}}, "/training/learning_rate", "inf"),
        ({"seeds": []}, "/seeds", "at least 1"),
        ({"seeds": [1, 1]}, "/seeds", "every seed once"),
        ({"seeds": [2**63]}, "/seeds/0", "2147483647"),
        ({"gates": ["student.acuracy >= 1"]}, "/gates/0", "did you mean 'student.accuracy'?"),
        ({"gates": ["student.accuracy"]}, "/gates/0", "for example"),
        ({"gates": ["uplift > 0"], "baseline": False}, "/gates", "baseline: true"),
        ({"runtime": {"device": "gpu"}}, "/runtime/device", "found 'gpu'"),
        (
            {"data": "mnist"},
            "/data",
            "expected one of arrays, cifar10, cifar100, digits, ",
        ),
        (
            {"student": {"model": {"name": "mlp", "hidden": [10**7]}}},
            "/student/model/hidden/0",
            "65536",
        ),
        ({"teacher": None}, "/teacher", "found None; expected an object"),
        ({"name": "two\nlines"}, "/name", "one line"),
        ({"data": {"name": "synthetic", "shape": [4096, 4096, 4096]}}, "/data", "at most"),
        (
            {"data": {"name": "synthetic"}, "training": {"load_best_model_at_end": True}},
            "/training/load_best_model_at_end",
            "validation_size",
        ),
        ({"gates": ["uplift.low > 0"]}, "/gates", "at least two seeds"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(changes, pointer, words):
    document = {**TINY, **changes}
    found = {problem.pointer: f"{problem.message} {problem.hint}" for problem in problems(document)}
    assert pointer in found
    assert words in found[pointer]


def test_a_missing_key_and_a_document_that_is_no_mapping():
    assert [problem.pointer for problem in problems({})] == ["/teacher", "/student", "/data"]
    for document in ([], "x", None, 3):
        assert problems(document)[0].pointer == ""


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1]\nb: *a",
        "a: [",
        "\x00",
        b"\xff\xfe\xff",
        "a: " + "[" * 5000,
        "x" * 2_000_000,
        "a: 1\na: 2",
        "[1]: 2",
    ],
)
def test_yaml_that_cannot_be_read_or_unfolds_is_refused(text):
    with pytest.raises(RecipeError):
        read_yaml(text)


def test_a_name_is_text_in_the_report():
    from kdcore.reporting.markdown import plain

    assert plain("# <b>[x](y)") == r"\# \<b\>\[x\](y)"


def test_yaml_has_jsons_values_only():
    assert read_yaml(
        "{a: 1e-3, b: 2024-01-01, c: [1, true, null], d: [010, 1:30, 1_0, -2, .5, 1.]}"
    ) == {
        "a": 0.001,
        "b": "2024-01-01",
        "c": [1, True, None],
        "d": ["010", "1:30", "1_0", -2, 0.5, 1.0],
    }


@pytest.mark.parametrize("depth", [None, 14])
def test_a_known_name_may_stand_where_a_name_stands_and_be_changed(depth):
    model: dict[str, Any] = {"name": "resnet8"} | ({"depth": depth} if depth else {})
    recipe = tiny(student={"model": model}, data={"shape": [3, 8, 8]})
    assert recipe.student.model == ResNet(depth=depth or 8)
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_a_name_that_is_no_text_is_refused_as_any_other():
    with pytest.raises(ValidationError):
        tiny(student={"model": {"name": ["resnet8"]}})
