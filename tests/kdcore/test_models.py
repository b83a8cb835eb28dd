"""Architectures: sizes equal to the reference implementations', and stages by name."""

import pytest
import torch

from kdcore.errors import RecipeError
from kdcore.evaluate import count_flops, count_parameters
from kdcore.models import MODELS
from kdcore.models.plain_cnn import PlainCNN
from kdcore.models.resnet import ResNet
from kdcore.network import build, observe, shapes_of

CIFAR = (3, 32, 32)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (ResNet(depth=8), 83_892),
        (ResNet(depth=20), 278_324),
        (ResNet(depth=56), 861_620),
        (ResNet(depth=8, stem=32, channels=[64, 128, 256]), 1_233_540),
        (ResNet(depth=32, stem=32, channels=[64, 128, 256]), 7_433_860),
    ],
)
def test_resnets_are_as_large_as_the_references(model, parameters):
    """Reference: mdistiller/models/cifar/resnet.py with 100 classes (resnet8 ... resnet32x4)."""
    assert count_parameters(build(model, CIFAR, 100, seed=0)) == parameters


@pytest.mark.parametrize("name", MODELS)
def test_a_network_is_a_sequence_of_named_stages_ending_in_the_head(name):
    network = build(MODELS[name](), CIFAR, 10, seed=0).eval()
    shapes = shapes_of(network, CIFAR)
    assert list(shapes)[-1] == "head"
    assert shapes["head"] == (10,)
    inputs = torch.randn(2, *CIFAR)
    seen = observe(network, inputs, list(shapes))
    assert torch.equal(seen.logits, network(inputs))
    assert {name: tuple(value.shape[1:]) for name, value in seen.features.items()} == shapes


@pytest.mark.parametrize("name", MODELS)
def test_the_initial_weights_depend_on_the_seed_alone(name):
    torch.manual_seed(1)
    first = build(MODELS[name](), CIFAR, 10, seed=5).state_dict()
    torch.manual_seed(2)
    again = build(MODELS[name](), CIFAR, 10, seed=5).state_dict()
    other = build(MODELS[name](), CIFAR, 10, seed=6).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("shape", [(16,), (4, 4)])
@pytest.mark.parametrize("model", [PlainCNN(), ResNet()])
def test_image_networks_refuse_what_is_no_image(model, shape):
    with pytest.raises(RecipeError, match="takes images"):
        build(model, shape, 10, seed=0)


def test_a_plain_cnn_refuses_images_that_its_poolings_would_use_up():
    with pytest.raises(RecipeError, match="at least 8x8"):
        build(PlainCNN(stages=[[4], [4], [4]]), (1, 7, 8), 10, seed=0)


def test_flops_are_two_for_each_multiply_add():
    network = build(PlainCNN(stages=[[4]], hidden=[], batch_norm=False), (1, 8, 8), 10, seed=0)
    assert count_flops(network, torch.zeros(1, 1, 8, 8)) == 2 * (8 * 8 * 4 * 9 + 4 * 4 * 4 * 10)
