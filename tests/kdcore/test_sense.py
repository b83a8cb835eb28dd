"""What fits together and what does not: refused with a place and a reason, before any training."""

from typing import Any

import pytest
from pydantic import ValidationError
from recipes import IMAGES, TEXTS, TINY, small_method, small_path, suited, tiny

from kdcore import distill
from kdcore.catalog import METHODS
from kdcore.errors import RecipeError
from kdcore.objectives import OBJECTIVES
from kdcore.recipe import Recipe
from kdcore.tasks import TASKS
from kdcore.temperatures import TEMPERATURES
from kdcore.validation import explain
from kdcore.weightings import WEIGHTINGS


def refused(changes: dict[str, Any]) -> dict[str, str]:
    """Return the problems of the tiny recipe of images with changes: pointer -> what is said."""
    document = {**TINY, **IMAGES, **changes}
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(document)
    problems = explain(caught.value, Recipe, document)
    return {problem.pointer: f"{problem.message} | {problem.hint}" for problem in problems}


MLP = {"model": {"name": "mlp", "hidden": [4]}}
MIXED = {**IMAGES["data"], "augmentation": {"mixup": 0.2}}
FLAT = {"name": "synthetic", "augmentation": {"cutmix": 1.0}}
ONE = {**IMAGES["training"], "per_device_train_batch_size": 1}
OWN = {"model": "plain2", "training": {"per_device_train_batch_size": 1}}
KD = {"name": "kd"}


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"objectives": ["cross_entropy"]}, "/objectives", "such as kd"),
        ({"method": "kdd"}, "/method", "did you mean 'kd'?"),
        ({"method": {"name": "dkd", "betta": 1}}, "/method/betta", "did you mean 'beta'?"),
        ({"objectives": [{"name": "fitnet", "wheight": 1}]}, "/objectives/0/wheight", "'weight'"),
        ({"student": MLP, "method": "fitnet"}, "/method", "no feature map in the student"),
        ({"student": MLP, "objectives": ["fitnet"]}, "/objectives/0", "no feature map"),
        ({"teacher": MLP, "objectives": [KD, "at"]}, "/objectives/1", "no feature map in the teac"),
        (
            {"objectives": [{"name": "mgd", "student_layer": "stage9"}]},
            "/objectives/0",
            "no stage 'stage9' in the student; expected one of stage1, stage2, flatten, head",
        ),
        (
            {"objectives": [{"name": "mgd", "student_layer": "flatten"}]},
            "/objectives/0",
            "name one of stage1, stage2",
        ),
        (
            {"student": {"model": {"name": "plain_cnn", "stages": [[4]]}}, "method": "mgd"},
            "/method",
            "expected equal heigh",
        ),
        ({"training": ONE, "method": "rkd"}, "/training/per_device_train_batch_size", "rkd"),
        ({"training": ONE, "method": "sp"}, "/training/per_device_train_batch_size", "at least 2"),
        ({"training": ONE, "method": "dist"}, "/training/per_device_train_batch_size", "dist"),
        (
            {"path": {"name": "takd", "assistants": [OWN]}, "objectives": ["rkd"]},
            "/path",
            "batches of 1 for assistant-1",
        ),
        (
            {"data": {**IMAGES["data"], "labelled": 2, "unlabelled": False}, "method": "rkd"},
            "/data/labelled",
            "at least 3",
        ),
        ({"objectives": ["at"], "temperature": "ctkd"}, "/temperature", "compares softened logits"),
        ({"objectives": ["at"], "temperature": 7}, "/temperature", "found temperature 7"),
        ({"objectives": ["simkd", "simkd"]}, "/objectives", "another network of the student"),
        (
            {"path": {"name": "takd", "assistants": ["plain2"], "candidates": ["plain2"]}},
            "/path",
            "with `assistants: auto` alone",
        ),
        (
            {"method": {"name": "takd", "assistants": [], "candidates": ["plain2"]}},
            "/method",
            "with `assistants: auto` alone",
        ),
        ({"method": {"name": "rco", "points": 13}}, "/method", "12 anchors, and 12 steps"),
        (
            {"path": {"name": "takd", "assistants": ["mlp"]}, "objectives": ["mgd"]},
            "/objectives/0",
            "assistant-1 as a student: found no feature map",
        ),
        ({"objectives": ["sp"], "weighting": "wsld"}, "/weighting", "loss of its own"),
        ({"objectives": ["dist", "sp"], "weighting": "ipwd"}, "/weighting", "one loss a sample"),
        ({"objectives": ["maskd", "maskd"]}, "/objectives", "leave one of them out"),
        ({"path": {"name": "dgkd", "assistants": []}}, "/path/assistants", "at least 1"),
        ({"path": {"name": "takd", "assistants": "best"}}, "/path/assistants", "auto"),
        (
            {
                "path": {
                    "name": "takd",
                    "assistants": [{"model": "mlp", "name": n} for n in "aba"],
                }
            },
            "/path/assistants",
            "the name 'a' twice",
        ),
        (
            {"teacher": {**IMAGES["teacher"], "weights": "t.safetensors"}, "method": "rco"},
            "/method",
            "leave teacher.weights out",
        ),
        (
            {
                "data": {**IMAGES["data"], "validation_size": 0},
                "method": {"name": "takd", "candidates": ["plain_cnn"]},
            },
            "/data/validation_size",
            "chosen by its accuracy",
        ),
        (
            {"baseline": False, "method": {"name": "takd", "candidates": ["plain_cnn"]}},
            "/baseline",
            "baseline: true",
        ),
        ({"objectives": [KD | {"begin": 0.5, "end": 0.5}]}, "/objectives/0", "begin below end"),
        ({"student": {"model": "resnet57"}}, "/student/model", "did you mean 'resnet56'?"),
        ({"student": {"model": {"name": "resnet", "depth": 21}}}, "/student/model/depth", "8, 14"),
        (
            {"training": {"lr_scheduler_type": "multistep"}},
            "/training",
            "expected milestones with multistep",
        ),
        ({"curriculum": "hard_to_easy"}, "/curriculum", "easy_to_hard"),
        ({"data": MIXED, "method": "dkd"}, "/method", "a mixed image has two"),
        ({"data": MIXED, "method": "crd"}, "/method", "crd reads one label a sample"),
        ({"data": MIXED, "objectives": ["kd", "nkd"]}, "/objectives/1", "take kd, dist"),
        ({"data": MIXED, "temperature": "ats"}, "/temperature", "ats reads one label"),
        ({"data": MIXED, "weighting": "wsld"}, "/weighting", "wsld reads one label"),
        ({"data": MIXED, "method": "ipwd"}, "/method", "ipwd reads one label"),
        ({"data": FLAT, "student": MLP, "teacher": MLP}, "/data/augmentation", "samples of shape"),
        (
            {"data": {**IMAGES["data"], "augmentation": {"mixup": -1}}},
            "/data/augmentation/mixup",
            "greater than or equal to 0",
        ),
        (
            {"curriculum": {"name": "easy_to_hard", "pacing": "slow"}},
            "/curriculum/pacing",
            "linear",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place_and_a_reason(changes, pointer, words):
    problems = refused(changes)
    assert pointer in problems, problems
    assert words in problems[pointer]


@pytest.mark.parametrize(
    "axes",
    [
        {"objectives": ["at"], "temperature": 4},
        {"method": "nkd", "objectives": ["at"]},
        {"objectives": ["at"], "weighting": "ipwd", "temperature": 7},
    ],
    ids=["the default", "the method's", "read by a weighting"],
)
def test_a_number_for_a_temperature_is_taken_where_nobody_asked_for_it_or_somebody_reads_it(axes):
    recipe = Recipe.model_validate({**TINY, **IMAGES, **axes})
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize("method", METHODS)
def test_mixed_images_go_with_every_method_that_reads_the_teachers_answers_alone(method):
    if suited(method) is TEXTS:
        return  # there are no images
    document = {**TINY, **IMAGES, "method": small_method(method), "data": MIXED}
    if method in {"dkd", "nkd", "ats", "wsld", "ipwd", "crd"}:
        assert list(refused({"method": small_method(method), "data": MIXED})) == ["/method"]
    else:
        assert Recipe.model_validate(document).data.augmentation.mixes


def test_what_the_method_wrote_is_pointed_at_in_the_method_and_what_was_written_where_it_is():
    assert list(refused({"student": MLP, "method": "at"})) == ["/method"]
    both = {"student": MLP, "method": "kd", "objectives": ["kd", "at"]}
    assert list(refused(both)) == ["/objectives/1"]


def test_data_of_unknown_shape_is_checked_as_soon_as_it_is_read(tmp_path):
    import numpy as np

    draw = np.random.default_rng(0)
    np.savez(
        tmp_path / "data.npz",
        **{f"x_{part}": draw.normal(size=(40, 6)).astype("float32") for part in ("train", "test")},
        **{f"y_{part}": np.arange(40) % 3 for part in ("train", "test")},
    )
    recipe = Recipe.model_validate(
        {"teacher": "mlp", "student": "mlp", "data": {"name": "arrays", "path": "data.npz"}}
        | {"method": "at"}
    )
    with pytest.raises(RecipeError, match="no feature map in the student"):
        list(distill(recipe, tmp_path / "out", inputs=tmp_path))


def meaningful(objective: str, temperature: str, weighting: str) -> bool:
    """Say by the entries' own flags whether a combination means something."""
    one = OBJECTIVES[objective]
    asked = task_of(objective)
    return (
        (temperature == "fixed" or one.softens)
        and (weighting == "uniform" or not one.couples_samples)
        and TEMPERATURES[temperature].serves(asked)
        and WEIGHTINGS[weighting].serves(asked)
    )


def task_of(objective: str) -> str:
    """Return the first task in which an objective has a meaning."""
    return next(name for name in TASKS if OBJECTIVES[objective].serves(name))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize(
    "objective", [name for name, one in OBJECTIVES.items() if one.needs_teacher]
)
def test_every_combination_is_taken_or_refused_by_what_the_entries_say(
    objective, temperature, weighting
):
    axes = {"objectives": [objective], "temperature": temperature, "weighting": weighting}
    axes["task"] = task_of(objective)
    networks = TEXTS if OBJECTIVES[objective].needs_tokens else IMAGES
    if meaningful(objective, temperature, weighting):
        assert Recipe.model_validate({**TINY, **networks, **axes}).objectives[0].name == objective
    else:
        assert set(refused({**networks, **axes})) <= {"/temperature", "/weighting"}


@pytest.mark.parametrize("path", ["direct", "takd", "dgkd", "rco"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_along_every_path(method, path):
    networks = suited(method)
    recipe = tiny(**networks, method=small_method(method), path=small_path(path, networks))
    assert recipe.path.name == path
    assert recipe.route()[-1].link.name == "student"
