"""Architectures against the reference implementations: sizes, outputs, initial weights."""

import pytest
import torch
from networks import CIFAR, MANY, on_meta
from torch import Tensor, nn

from kdcore.evaluate import count_parameters
from kdcore.models import MODELS
from kdcore.network import build, observe
from kdcore.stages import maps

# Parameters with 100 classes, counted in the classes of HobbitLong/RepDistiller, models/*.py,
# which megvii-research/mdistiller, mdistiller/models/cifar/*.py, equals where it has them.
REFERENCES = {
    "resnet8": 83_892,
    "resnet14": 181_108,
    "resnet20": 278_324,
    "resnet26": 375_540,
    "resnet32": 472_756,
    "resnet38": 569_972,
    "resnet44": 667_188,
    "resnet56": 861_620,
    "resnet110": 1_736_564,
    "resnet8x4": 1_233_540,
    "resnet14x4": 2_783_620,
    "resnet20x4": 4_333_700,
    "resnet26x4": 5_883_780,
    "resnet32x4": 7_433_860,
    "wrn_10_1": 83_700,
    "wrn_16_1": 180_916,
    "wrn_16_2": 703_284,
    "wrn_16_4": 2_772_020,
    "wrn_22_2": 1_091_252,
    "wrn_28_4": 5_872_180,
    "wrn_28_10": 36_536_884,
    "wrn_34_1": 472_564,
    "wrn_40_1": 569_780,
    "wrn_40_2": 2_255_156,
    "wrn_40_4": 8_972_340,
    "vgg8": 3_965_028,
    "vgg11": 9_277_284,
    "vgg13": 9_462_180,
    "vgg16": 14_774_436,
    "vgg19": 20_086_692,
    "mobilenet_v2_x0_25": 364_492,
    "mobilenet_v2": 812_836,
    "mobilenet_v2_x0_75": 1_475_692,
    "mobilenet_v2_x1_0": 2_353_060,
    "mobilenet_v2_x1_4": 4_470_904,
    "shufflenet_v1_g1": 957_874,
    "shufflenet_v1_g2": 959_672,
    "shufflenet_v1": 949_258,
    "shufflenet_v2_x0_5": 443_716,
    "shufflenet_v2": 1_355_528,
    "shufflenet_v2_x1_5": 2_580_548,
    "shufflenet_v2_x2_0": 5_521_860,
}

# Likewise in imirzadeh/Teacher-Assistant-Knowledge-Distillation, plain_cnn_cifar.py, whose
# convolutions have biases before their batch norms: all parameters, and the biases.
PLAIN = {
    "plain2": (215_172, 64),
    "plain4": (475_652, 192),
    "plain6": (1_107_204, 448),
    "plain8": (1_246_276, 960),
    "plain10": (2_931_460, 1472),
    "plain2_cifar10": (13_082, 32),
    "plain4_cifar10": (37_338, 96),
    "plain6_cifar10": (82_778, 224),
    "plain8_cifar10": (327_962, 480),
    "plain10_cifar10": (2_487_850, 1472),
}

# The first logits of the first image, and the mean magnitude of each feature, computed in float64
# and training mode by the same classes of RepDistiller, with the weights and images that
# `write_weights` and `numbers` write. For WRN the last map is relu(bn1(block3(...))) there.
OUTPUTS = {
    "resnet20": (
        [-6.3987925652, -1.8945044874, -10.735440853],
        [1.0627938468, 4.1255410414, 4.0864413599, 4.1385641419, 4.1385641419],
    ),
    "resnet8x4": (
        [-1.6090372029, -2.9435381106, -0.74430872103],
        [1.0751838988, 2.0582825218, 2.0726272147, 2.0517950797, 2.0517950797],
    ),
    "wrn_16_1": (
        [-0.91974840571, -0.25327556336, -2.850260705],
        [1.0875595581, 2.5760597746, 2.2221721273, 1.0882506728, 1.0882506728],
    ),
    "wrn_16_2": (
        [0.091802044831, 0.027164088252, -1.217363555],
        [1.0875595581, 2.3083373668, 2.7217848306, 1.1014945294, 1.1014945294],
    ),
    "vgg8": (
        [2.4750569026, -0.17852757162, 1.5541648016],
        [1.0914064823, 1.0877858864, 1.0881019492, 1.0915350037, 1.0882640757, 1.0882640757],
    ),
    "mobilenet_v2": (
        [2.5764686253, 1.9489915626, 0.038996625646],
        [1.0613610695, 2.0794530274, 3.158300267, 3.0141398301, 1.1710854365, 1.0844610121],
    ),
    "shufflenet_v1": (
        [12.30365819, 22.366560331, 23.730371235],
        [1.0608231245, 4.1190793436, 9.4661915611, 7.5587628642, 7.5587628642],
    ),
    "shufflenet_v2": (
        [-0.061307822859, 4.7261490656, 3.3959632737],
        [1.0608231245, 1.095622689, 1.0906714633, 1.0908508528, 1.0862081431],
    ),
}


def numbers(count: int, stream: int) -> Tensor:
    """Return numbers in [-1, 1) that are written by a rule, for there is no generator to trust."""
    mixed = (torch.arange(count) + 1_000_003 * stream) * 2_654_435_761 % 2**32
    mixed = (mixed ^ (mixed >> 16)) * 73_244_475 % 2**32
    return (mixed ^ (mixed >> 16)).double() / 2**31 - 1


def write_weights(network: nn.Module) -> None:
    floating = [value for value in network.state_dict().values() if value.is_floating_point()]
    for stream, value in enumerate(floating, start=1):
        drawn = numbers(value.numel(), stream).reshape(value.shape)
        fan_in = value[0].numel()
        value.copy_(drawn * (6 / fan_in) ** 0.5 if value.dim() > 1 else 1 + drawn / 4)


@pytest.mark.parametrize("label", REFERENCES)
def test_networks_are_as_large_as_the_references(label):
    assert count_parameters(on_meta(MANY[label], CIFAR)) == REFERENCES[label]


@pytest.mark.parametrize("label", PLAIN)
def test_plain_networks_are_as_large_as_the_references_without_useless_biases(label):
    parameters, biases = PLAIN[label]
    network = on_meta(MANY[label], CIFAR, 10 if label.endswith("cifar10") else 100)
    assert count_parameters(network) == parameters - biases


@pytest.mark.parametrize("label", OUTPUTS)
def test_networks_compute_what_the_references_compute(label):
    logits, magnitudes = OUTPUTS[label]
    network = build(MANY[label], CIFAR, 100, seed=0).double()
    write_weights(network)
    inputs = numbers(4 * 3 * 32 * 32, 0).reshape(4, *CIFAR) * 3**0.5
    shapes = MANY[label].shapes(CIFAR, 100)
    names = ["stem", *maps(shapes, "student"), "pool"]
    with torch.no_grad():
        seen = observe(network, inputs, names)
    assert seen.logits[0, :3].tolist() == pytest.approx(logits, rel=1e-9)
    found = [float(seen.features[name].abs().mean()) for name in names]
    assert found == pytest.approx(magnitudes, rel=1e-9)


@pytest.mark.parametrize("name", ["resnet", "wide_resnet", "vgg", "mobilenet_v2"])
def test_convolutions_start_with_the_variance_that_keeps_gradients_alive(name):
    """Reference: each file of RepDistiller, N(0, 2 / (size^2 * outputs)), and biases of 0."""
    network = build(MODELS[name](), CIFAR, 100, seed=0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            variance = 2 / (layer.weight[0, 0].numel() * layer.out_channels)
            spread = 5 * (2 / layer.weight.numel()) ** 0.5
            assert float(layer.weight.detach().var()) == pytest.approx(variance, rel=spread)
            assert layer.bias is None or not layer.bias.any()
    head = network.get_submodule("head")
    if name != "resnet":
        assert not head.bias.any()
    if name in {"vgg", "mobilenet_v2"}:
        assert float(head.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
