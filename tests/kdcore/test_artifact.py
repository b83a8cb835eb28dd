"""Networks that an earlier run has delivered, as teachers and students of a new one."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from recipes import IMAGES, TEXTS, TINY, tiny

from kdcore import Recipe, distill, load_student
from kdcore.errors import RecipeError, WeightsError
from kdcore.events import RunStarted, VerdictReached
from kdcore.listing import listing
from kdcore.network import predict, weights_bytes

ASSISTANTS = [{"name": "plain_cnn", "stages": [[4], [6]], "hidden": []}]
FIRST = {**IMAGES, "method": {"name": "takd", "assistants": ASSISTANTS}, "baseline": False}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    inputs = tmp_path_factory.mktemp("inputs")
    list(distill(tiny(**FIRST), inputs / "out"))
    shutil.copytree(inputs / "out/artifacts", inputs / "earlier")
    return SimpleNamespace(inputs=inputs, folder=inputs / "earlier")


def artifact(file: str) -> dict[str, object]:
    return {"model": {"name": "artifact", "path": "earlier", "file": file}}


def second(**changes) -> Recipe:
    return tiny(**{**IMAGES, "baseline": False, **changes})


@pytest.mark.parametrize("file", ["teacher", "student", "assistant-1"])
def test_any_network_of_a_run_teaches_another_one(earlier, tmp_path, file):
    recipe = second(teacher=artifact(file))
    events = list(distill(recipe, tmp_path, inputs=earlier.inputs))
    plan = next(event for event in events if isinstance(event, RunStarted)).stages
    assert [stage.role for stage in plan] == ["student"], "it is not trained again"
    verdict = next(event for event in events if isinstance(event, VerdictReached)).verdict
    scores = json.loads((earlier.folder / "config.json").read_text())["scores"]
    name = {"teacher": "teacher", "student": "student-0", "assistant-1": "assistant-1-0"}[file]
    assert verdict.teacher.score.mean == scores[name]["accuracy"]


def test_it_teaches_just_as_the_same_network_with_named_weights(earlier, tmp_path):
    named = {**IMAGES["teacher"], "weights": "earlier/teacher.safetensors"}
    for place, teacher in enumerate((artifact("teacher"), named)):
        list(distill(second(teacher=teacher), tmp_path / str(place), inputs=earlier.inputs))
    first, other = (
        (tmp_path / place / "stages/student-0.safetensors").read_bytes() for place in ("0", "1")
    )
    assert first == other


def test_a_student_begins_with_the_delivered_weights_and_is_delivered_as_what_it_is(
    earlier, tmp_path
):
    recipe = second(
        student=artifact("student"),
        training={"max_steps": 1, "learning_rate": 1e-30, "weight_decay": 0.0},
    )
    list(distill(recipe, tmp_path / "out", inputs=earlier.inputs))
    before = dict(load_student(earlier.folder).named_parameters())
    config = json.loads((tmp_path / "out/artifacts/config.json").read_text())
    assert config["model"]["name"] == "plain_cnn"
    after = load_student(tmp_path / "out/artifacts")
    for name, parameter in after.named_parameters():
        assert torch.equal(parameter, before[name]), name


def test_its_layers_are_named_by_an_objective_and_listed(earlier, tmp_path):
    recipe = second(
        teacher=artifact("teacher"),
        objectives=[{"name": "fitnet", "student_layer": "stage1", "teacher_layer": "stage2"}],
        data={**IMAGES["data"], "labelled": None},
    )
    lines = list(listing(recipe, earlier.inputs))
    assert lines[0].startswith("teacher: artifact earlier teacher, inputs 1x8x8")
    assert any("stage2" in line for line in lines)
    wrong = {"name": "fitnet", "student_layer": "stage1", "teacher_layer": "stage9"}
    recipe = second(teacher=artifact("teacher"), objectives=[wrong])
    with pytest.raises(RecipeError, match="stage9"):
        list(distill(recipe, tmp_path, inputs=earlier.inputs))


@pytest.mark.parametrize("file", ["teacher", "assistant-1"])
def test_all_networks_of_a_folder_are_opened_alike(earlier, file):
    network = load_student(earlier.folder, file)
    delivered = (earlier.folder / f"{file}.safetensors").read_bytes()
    assert weights_bytes(network) == delivered
    assert predict(network, torch.zeros(2, 1, 8, 8)).shape[0] == 2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"data": {**IMAGES["data"], "num_classes": 7}}, "for inputs of shape .* 4 classes, and"),
        (
            {"data": {**IMAGES["data"], "shape": [1, 10, 10]}},
            r"data with inputs of shape \(1, 10, 10\)",
        ),
    ],
)
def test_other_classes_or_inputs_are_refused(earlier, tmp_path, changes, says):
    with pytest.raises(RecipeError, match=says):
        list(
            distill(second(teacher=artifact("teacher"), **changes), tmp_path, inputs=earlier.inputs)
        )


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (None, "no such file in the inputs folder"),
        ("{", "not readable"),
        ("[]", "expected an object"),
        ('{"model": null}', "found no network 'student'; expected one of none"),
        ('{"model": {"name": "mlp"}}', "found no description of a delivered network"),
        (
            '{"model": {"name": "artifact", "path": "."}, "input_shape": [1], "num_classes": 2}',
            "found no description of a delivered network",
        ),
        ("[" * 100_000, "not readable"),
    ],
)
def test_a_folder_that_describes_nothing_is_refused(tmp_path, config, says):
    (tmp_path / "earlier").mkdir()
    if config is not None:
        (tmp_path / "earlier/config.json").write_text(config)
    with pytest.raises(RecipeError, match=says):
        list(distill(second(teacher=artifact("student")), tmp_path / "out", inputs=tmp_path))


def test_a_network_that_was_not_delivered_is_told(earlier, tmp_path):
    with pytest.raises(RecipeError, match="no network 'assistant-2'; expected one of student"):
        list(distill(second(teacher=artifact("assistant-2")), tmp_path, inputs=earlier.inputs))


def test_damaged_or_missing_weights_are_told(earlier, tmp_path):
    shutil.copytree(earlier.folder, tmp_path / "earlier")
    weights = tmp_path / "earlier/teacher.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(WeightsError, match=r"earlier/teacher\.safetensors: not a readable"):
        list(distill(second(teacher=artifact("teacher")), tmp_path / "a", inputs=tmp_path))
    weights.unlink()
    with pytest.raises(WeightsError, match="no such file"):
        list(distill(second(teacher=artifact("teacher")), tmp_path / "b", inputs=tmp_path))


def test_other_weights_in_the_folder_are_another_run(earlier, tmp_path):
    shutil.copytree(earlier.folder, tmp_path / "earlier")
    recipe = second(teacher=artifact("teacher"))
    list(distill(recipe, tmp_path / "out", inputs=tmp_path))
    lock = json.loads((tmp_path / "out/artifacts/spec.lock").read_text())["lock"]
    assert set(lock["digests"]) == {
        "recipe",
        "data",
        "earlier/config.json",
        "earlier/teacher.safetensors",
    }


@pytest.mark.parametrize(
    "changes", [{"path": "../elsewhere"}, {"path": "/etc"}, {"file": "../teacher"}, {"file": ""}]
)
def test_no_path_leads_out_of_the_inputs(changes):
    with pytest.raises(ValidationError):
        Recipe.model_validate(
            {**TINY, "teacher": {"model": {"name": "artifact", "path": "earlier", **changes}}}
        )


def test_what_takes_networks_to_pieces_refuses_it(earlier):
    with pytest.raises(ValidationError, match="takes the network to pieces"):
        second(student=artifact("student"), objectives=["simkd"])


def test_an_encoder_of_texts_is_taken_with_the_ids_that_it_was_made_for(tmp_path):
    texts = {**TEXTS, "baseline": False}
    list(distill(tiny(**texts), tmp_path / "out"))
    (tmp_path / "out/artifacts").rename(tmp_path / "earlier")
    again = {**texts, "teacher": artifact("teacher"), "student": artifact("student")}
    list(distill(tiny(**again), tmp_path / "again", inputs=tmp_path))
    config = json.loads((tmp_path / "again/artifacts/config.json").read_text())
    assert config["model_type"] == "bert"
    other = {**again, "data": {**TEXTS["data"], "vocabulary": 29}}
    with pytest.raises(RecipeError, match=r"vocabulary 30.*vocabulary 29"):
        list(distill(tiny(**other), tmp_path / "other", inputs=tmp_path))
