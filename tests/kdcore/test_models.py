"""Architectures: stages by name, sizes by arithmetic, names that the field knows."""

import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Annotated

import pytest
import torch
from networks import CIFAR, DIGITS, KNOWN, MANY, OURS, on_meta
from pydantic import TypeAdapter
from torch import nn

from kdcore.entry import OneOf
from kdcore.errors import RecipeError
from kdcore.evaluate import count_flops
from kdcore.layers import Channels, Concatenation, Residual, Sum
from kdcore.model import Model
from kdcore.models import MODELS
from kdcore.models.mlp import MLP
from kdcore.models.mobilenet_v2 import MobileNetV2
from kdcore.models.plain_cnn import PlainCNN
from kdcore.models.resnet import ResNet
from kdcore.models.shufflenet_v1 import ShuffleNetV1
from kdcore.models.shufflenet_v2 import ShuffleNetV2
from kdcore.models.vgg import VGG
from kdcore.models.wide_resnet import WideResNet
from kdcore.network import build, observe, shapes_of
from kdcore.portable import onnx_bytes
from kdcore.stages import embedding, maps
from kdcore.tensors import Shapes

ROOT = Path(__file__).parents[2]
IMAGES = [name for name in OURS if name != "mlp"]


@pytest.mark.parametrize("name", OURS)
def test_a_network_is_a_sequence_of_named_stages_ending_in_the_head(name):
    network = build(MODELS[name](), CIFAR, 10, seed=0).eval()
    shapes = shapes_of(network, CIFAR)
    assert list(shapes)[-1] == "head"
    assert shapes["head"] == (10,)
    inputs = torch.randn(2, *CIFAR)
    seen = observe(network, inputs, list(shapes))
    assert torch.equal(seen.logits, network(inputs))
    assert {name: tuple(value.shape[1:]) for name, value in seen.features.items()} == shapes


def told(shapes: Callable[[], Shapes]) -> list[object]:
    """Return shapes in order, or why there are none."""
    try:
        return list(shapes().items())
    except RecipeError as refusal:
        return [str(refusal), refusal.hint]


@pytest.mark.parametrize("label", MANY)
def test_shapes_by_arithmetic_are_those_of_the_network(label):
    model = MANY[label]
    odd = [(2, 33, 17), (3, 64, 72)] if label in MODELS else []
    for shape in (CIFAR, DIGITS, *odd):
        expected = told(lambda shape=shape: model.shapes(shape, 7))
        found = told(lambda shape=shape: shapes_of(on_meta(model, shape, 7), shape))
        assert found == expected


@pytest.mark.parametrize(
    "model",
    [
        MLP(hidden=[]),
        MLP(hidden=[5, 6]),
        PlainCNN(stages=[[4, 5]], hidden=[], batch_norm=False),
        PlainCNN(stages=[[4], [5, 6]], hidden=[8, 9], pool_last=False),
        ResNet(depth=14, stem=3, channels=[4, 5, 6]),
        WideResNet(depth=10, width=3),
    ],
)
def test_shapes_of_other_settings_are_those_of_the_network(model):
    for shape in ((1, 8, 8), (3, 9, 13)):
        assert shapes_of(on_meta(model, shape, 7), shape) == model.shapes(shape, 7)


def counted(model: Model, shape: tuple[int, ...]) -> int:
    """Return the operations that torch counts in the network."""
    return count_flops(on_meta(model, shape, 7), torch.empty(1, *shape, device="meta"))


@pytest.mark.parametrize("label", MANY)
def test_operations_by_arithmetic_are_those_that_torch_counts(label):
    model = MANY[label]
    for shape in (CIFAR, DIGITS, *([(2, 33, 17), (3, 64, 72)] if label in MODELS else [])):
        try:
            model.shapes(shape, 7)
        except RecipeError:
            continue
        assert model.flops(shape, 7) == counted(model, shape)


@pytest.mark.parametrize(
    "model",
    [
        MLP(hidden=[]),
        PlainCNN(stages=[[4, 5]], hidden=[], batch_norm=False),
        PlainCNN(stages=[[4], [5, 6]], hidden=[8, 9], pool_last=False),
        ResNet(depth=14, stem=3, channels=[4, 5, 6]),
        WideResNet(depth=10, width=3),
        ShuffleNetV1(groups=2),
    ],
)
def test_operations_of_other_settings_are_those_that_torch_counts(model):
    for shape in ((1, 8, 8), (3, 9, 13)):
        assert model.flops(shape, 7) == counted(model, shape)


@pytest.mark.parametrize("label", MANY)
def test_the_head_is_given_a_vector_and_stages_are_maps_in_order(label):
    shapes = MANY[label].shapes(CIFAR, 10)
    assert len(shapes[embedding(shapes, "student")]) == 1
    if label != "mlp":
        stages = maps(shapes, "student")
        assert stages == [f"stage{place}" for place in range(1, len(stages) + 1)]
        assert len(stages) >= 2
        sides = [shapes[stage][1] for stage in stages]
        assert sides == sorted(sides, reverse=True)


def test_digits_are_refused_by_what_pools_them_away_alone():
    refused: set[str] = set()
    for label, model in MANY.items():
        try:
            model.shapes(DIGITS, 10)
        except RecipeError:
            refused.add(label)
    assert refused == {f"plain{depth}{data}" for depth in (8, 10) for data in ("", "_cifar10")}


def test_shapes_need_no_torch():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from kdcore.models import MODELS\n"
        "for entry in (one for one in MODELS.values() if not one.foreign):\n"
        "    for fields in [{}, *entry.known.values()]:\n"
        "        model = entry.model_validate(fields)\n"
        "        assert model.shapes((3, 32, 32), 10)['head'] == (10,)\n"
        "        assert model.between(model) == []\n"
        "print('none')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "none\n", done.stderr


@pytest.mark.parametrize("label", KNOWN)
def test_a_known_name_stands_for_its_settings_and_is_their_label(label):
    recipe: TypeAdapter[Model] = TypeAdapter(Annotated[Model, OneOf(MODELS)])
    assert recipe.validate_python(label) == KNOWN[label]
    assert KNOWN[label].label() == label


def test_names_are_distinct_and_defaults_keep_the_papers_names():
    labels = list(chain(MODELS, *(entry.known for entry in MODELS.values())))
    assert len(labels) == len(set(labels))
    for model in (MobileNetV2(), ShuffleNetV1(), ShuffleNetV2()):
        assert model.label() == model.name
    assert ResNet(depth=8, stem=32, channels=[64, 128, 256]).label() == "resnet8x4"
    assert ResNet(stem=8).label() == "resnet"


@pytest.mark.parametrize(
    ("student", "teacher", "between"),
    [
        ("resnet8", "resnet44", ["resnet38", "resnet32", "resnet26", "resnet20", "resnet14"]),
        ("resnet8", "resnet26", ["resnet20", "resnet14"]),
        ("resnet8x4", "resnet32x4", ["resnet26x4", "resnet20x4", "resnet14x4"]),
        ("resnet8", "resnet32x4", []),
        ("resnet110", "resnet8", []),
        ("resnet56", "resnet110", []),
        ("resnet8", "wrn_40_2", []),
        ("wrn_16_2", "wrn_40_2", ["wrn_34_2", "wrn_28_2", "wrn_22_2"]),
        ("wrn_16_1", "wrn_40_1", ["wrn_34_1", "wrn_28_1", "wrn_22_1"]),
        ("wrn_40_1", "wrn_40_2", []),
        ("wrn_16_1", "wrn_40_2", []),
        ("wrn_16_2", "resnet20", []),
        ("plain2", "plain10", ["plain8", "plain6", "plain4"]),
        ("plain2", "plain6", ["plain4"]),
        ("plain10", "plain2", []),
        ("plain2_cifar10", "plain8_cifar10", ["plain6_cifar10", "plain4_cifar10"]),
        ("plain2", "plain10_cifar10", []),
        ("plain_cnn", "plain10", []),
        ("vgg8", "vgg19", []),
    ],
)
def test_sizes_between_two_networks_of_a_family_fall_from_the_teacher_on(student, teacher, between):
    assert [model.label() for model in MANY[student].between(MANY[teacher])] == between


def test_widths_lie_between_where_the_depths_are_equal():
    sizes = WideResNet(width=1).between(WideResNet(width=5))
    assert sizes == [WideResNet(width=width) for width in (4, 3, 2)]


@pytest.mark.parametrize("name", OURS)
def test_the_initial_weights_depend_on_the_seed_alone(name):
    torch.manual_seed(1)
    first = build(MODELS[name](), CIFAR, 10, seed=5).state_dict()
    torch.manual_seed(2)
    again = build(MODELS[name](), CIFAR, 10, seed=5).state_dict()
    other = build(MODELS[name](), CIFAR, 10, seed=6).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("label", [*OURS, "plain6", "wrn_10_1"])
def test_networks_train_on_small_images_and_where_there_are_no_numbers(label):
    """The meta device stands for every device that is only tried out."""
    for network, device in (
        (build(MANY[label], DIGITS, 10, seed=0), "cpu"),
        (on_meta(MANY[label], DIGITS, 10), "meta"),
    ):
        inputs = torch.zeros(4, *DIGITS, device=device).normal_()
        targets = torch.zeros(4, dtype=torch.long, device=device)
        nn.functional.cross_entropy(network.train()(inputs), targets).backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        assert all(gradient is not None for gradient in gradients)
        if device == "cpu":
            assert all(bool(gradient.isfinite().all()) for gradient in gradients)


@pytest.mark.parametrize("shape", [(16,), (4, 4)])
@pytest.mark.parametrize("name", IMAGES)
def test_image_networks_refuse_what_is_no_image(name, shape):
    with pytest.raises(RecipeError, match="takes images"):
        build(MODELS[name](), shape, 10, seed=0)
    with pytest.raises(RecipeError, match="takes images"):
        MODELS[name]().shapes(shape, 10)


def test_networks_refuse_images_that_their_poolings_would_use_up():
    three = [[4], [4], [4]]
    with pytest.raises(RecipeError, match="3 times, but the data is 7x8; at least 8x8"):
        build(PlainCNN(stages=three), (1, 7, 8), 10, seed=0)
    shapes = PlainCNN(stages=three, pool_last=False).shapes((1, 7, 8), 10)
    assert shapes["stage3"] == (4, 1, 2)
    with pytest.raises(RecipeError, match="but the data is 16x7; at least 8x8"):
        VGG().shapes((1, 16, 7), 10)


def test_vgg_pools_once_more_from_images_of_64_on():
    """Reference: RepDistiller, models/vgg.py, pool3 at a height of 64."""
    assert VGG().shapes((3, 63, 80), 10)["stage4"] == (512, 7, 10)
    assert VGG().shapes((3, 64, 80), 10)["stage4"] == (512, 4, 5)


def test_blocks_add_join_and_cut_channels():
    inputs = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    negated = nn.Conv2d(4, 4, 1, bias=False)
    nn.init.zeros_(negated.weight)
    assert torch.equal(Sum(negated)(inputs), inputs)
    assert torch.equal(Sum(nn.ReLU(), negated)(inputs), inputs.relu())
    assert torch.equal(Residual(negated)(inputs), inputs.relu())
    halves = Concatenation(Channels(2, 4), Channels(0, 2))(inputs)
    assert torch.equal(halves, torch.cat((inputs[:, 2:], inputs[:, :2]), dim=1))


def test_flops_are_two_for_each_multiply_add():
    network = build(PlainCNN(stages=[[4]], hidden=[], batch_norm=False), (1, 8, 8), 10, seed=0)
    assert count_flops(network, torch.zeros(1, 1, 8, 8)) == 2 * (8 * 8 * 4 * 9 + 4 * 4 * 4 * 10)


@pytest.mark.parametrize(
    "label",
    [
        "mlp",
        "plain6",
        "wrn_10_1",
        "vgg8",
        "resnet8",
        pytest.param("mobilenet_v2", marks=pytest.mark.slow),
        pytest.param("shufflenet_v1", marks=pytest.mark.slow),
        pytest.param("shufflenet_v2", marks=pytest.mark.slow),
    ],
)
def test_networks_leave_as_onnx_with_a_dynamic_batch(label):
    onnxruntime = pytest.importorskip("onnxruntime")
    network = build(MANY[label], DIGITS, 10, seed=0)
    source = torch.Generator().manual_seed(0)
    network.train()(torch.randn(32, *DIGITS, generator=source))  # running averages of their own
    content = onnx_bytes(network.eval(), torch.randn(2, *DIGITS, generator=source))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for batch in (1, 2, 5):
        inputs = torch.randn(batch, *DIGITS, generator=source)
        (logits,) = session.run(None, {"inputs": inputs.numpy()})
        expected = network(inputs).detach()
        assert logits.shape == (batch, 10)
        difference = (torch.from_numpy(logits) - expected).abs().max()
        assert float(difference) < 1e-4 * float(expected.abs().max())
