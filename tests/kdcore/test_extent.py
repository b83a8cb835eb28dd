"""What a run takes is known by arithmetic, and is what it then truly takes."""

import pytest
import torch
from networks import OURS
from recipes import IMAGES, OPTIONS, TINY, tiny

from kdcore.corpus import load_corpus
from kdcore.errors import RecipeError
from kdcore.evaluate import count_parameters
from kdcore.extent import extent_of
from kdcore.models.mlp import MLP
from kdcore.models.plain_cnn import PlainCNN
from kdcore.models.resnet import ResNet
from kdcore.models.wide_resnet import WideResNet
from kdcore.plan import plan_stages
from kdcore.recipe import Recipe
from kdcore.sense import MOST_PAUSES

LABELLED = {
    label: model.model_validate(fields)
    for model in OURS.values()
    for label, fields in {**model.known, model.model_fields["name"].default: {}}.items()
}
OTHERS = {
    "a linear classifier": MLP(hidden=[]),
    "a deep mlp": MLP(hidden=[5, 6, 7]),
    "without batch norm": PlainCNN(stages=[[4, 5], [6]], hidden=[7], batch_norm=False),
    "without the last pooling": PlainCNN(stages=[[4], [5, 6]], hidden=[8, 9], pool_last=False),
    "an odd resnet": ResNet(depth=14, stem=3, channels=[4, 4, 6]),
    "a resnet without a first projection": ResNet(depth=8, stem=5, channels=[5, 5, 5]),
    "a wide resnet as narrow as its stem": WideResNet(depth=16, width=1),
}


@pytest.mark.parametrize("label", [*LABELLED, *OTHERS])
def test_parameters_by_arithmetic_are_those_of_the_network(label):
    model = (LABELLED | OTHERS)[label]
    for shape, classes in (((3, 32, 32), 10), ((1, 35, 64), 7)):
        with torch.device("meta"):
            network = model.build(shape, classes)
        assert model.parameters(shape, classes) == count_parameters(network)


RUNS = {
    "plain": {},
    "epochs": {"training": {"num_train_epochs": 3, "max_steps": None}},
    "only the labelled": {
        "data": {"unlabelled": False},
        "training": {"num_train_epochs": 3, "max_steps": None},
    },
    "controls and seeds": {"seeds": [1, 2, 3], "baseline": {"hard_labels": True}},
    "no baseline": {"baseline": False},
    "a chain": {**IMAGES, "method": {"name": "dgkd", **OPTIONS["dgkd"]}},
    "a tutor": {**IMAGES, "method": {"name": "maskd", "mask_steps": 8}},
    "a route": {**IMAGES, "method": "rco"},
    "a teacher with a training of its own": {
        "teacher": {**TINY["teacher"], "training": {"num_train_epochs": 2}}
    },
    "several processes": {
        "runtime": {"processes": 2},
        "training": {"num_train_epochs": 2, "max_steps": None},
    },
}


@pytest.mark.parametrize("name", RUNS)
def test_the_steps_are_those_of_the_plan(name, tmp_path):
    recipe = tiny(**RUNS[name])
    corpus = load_corpus(recipe.data, tmp_path, torch.device("cpu"))
    planned = sum(stage.total_steps for stage in plan_stages(recipe, corpus))
    assert extent_of(recipe).steps == planned
    assert extent_of(recipe).is_counted


def test_data_that_is_not_known_yet_is_taken_for_the_smallest():
    wide = {"name": "mlp", "hidden": [65_536, 65_536]}
    recipe = Recipe.model_validate(
        {
            "teacher": "plain_cnn",
            "student": {"model": wide},
            "data": {"name": "arrays", "path": "a.npz"},
            "training": {"num_train_epochs": 7},
            "baseline": False,
        }
    )
    extent = extent_of(recipe)
    assert dict(extent.parameters)["/student/model"] > 65_536**2
    assert extent.steps == 14
    assert not extent.is_counted
    counted = extent_of(recipe, samples=1000)
    assert counted.is_counted
    assert counted.steps == 2 * 7 * (1000 // recipe.training.per_device_train_batch_size)


def test_more_of_anything_takes_more_room():
    def taken(**changes):
        recipe = tiny(**changes)
        extent = extent_of(recipe)
        return extent.memory_bytes, extent.disk_bytes

    memory, disk = taken()
    assert memory < taken(training={"optim": "adamw"})[0]
    assert memory < taken(training={"ema_decay": 0.9})[0]
    assert memory < taken(training={"per_device_train_batch_size": 64})[0]
    assert disk < taken(seeds=[1, 2])[1]
    assert taken(training={"save_total_limit": 1})[1] < disk
    assert disk == taken(training={"save_total_limit": 100})[1], "only two are ever written"


@pytest.mark.parametrize("field", ["save_steps", "eval_steps"])
def test_a_training_that_would_mostly_pause_is_refused(field):
    steps = {"max_steps": 5 * MOST_PAUSES, "save_steps": 1000, "eval_steps": 1000}
    tiny(training=steps | {field: 5})
    with pytest.raises(ValueError, match=f"found {field} 4 in a training of 500,000 steps"):
        tiny(training=steps | {field: 4})


def test_a_network_of_images_has_no_size_without_an_image():
    with pytest.raises(RecipeError):
        ResNet().parameters((3,), 10)
