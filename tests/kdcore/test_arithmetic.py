"""Numbers that networks compute in: the faster ones change little, are measured, and stay."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from recipes import IMAGES, small_method, suited, tiny
from resumed import curve, weights
from torch import nn

from kdcore import distill
from kdcore.arithmetic import Measurements, answering, laid_out
from kdcore.catalog import METHODS
from kdcore.choices import Choices
from kdcore.computing import Runtime
from kdcore.events import AnswersReady, StageProgress
from kdcore.model import Model
from kdcore.models.mobilenet_v2 import MobileNetV2
from kdcore.models.plain_cnn import PlainCNN
from kdcore.models.resnet import ResNet
from kdcore.models.shufflenet_v2 import ShuffleNetV2
from kdcore.models.vgg import VGG
from kdcore.models.wide_resnet import WideResNet
from kdcore.network import build, observe, shapes_of

CPU = torch.device("cpu")
NETWORKS: list[Model] = [
    ResNet(depth=8),
    WideResNet(depth=10, width=1),
    VGG(depth=8),
    MobileNetV2(),
    ShuffleNetV2(),
    PlainCNN(stages=[[4], [6]], hidden=[]),
]


def used(model: Model) -> nn.Sequential:
    """Return a network whose batch norms have seen something."""
    network = build(model, (3, 32, 32), 10, seed=0).train()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(16, 3, 32, 32, generator=draw))
    return network.eval()


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: model.name)
def test_a_frozen_copy_in_bfloat16_answers_alike_at_every_stage(model):
    network = used(model)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    copied = answering(network, "bfloat16")
    inputs = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    names = [name for name, _ in network.named_children()]
    assert [name for name, _ in copied.named_children()] == names
    with torch.no_grad():
        plain = observe(network, inputs, names)
        quick = observe(copied, inputs.bfloat16(), names).widened()
    for name in names:
        scale = float(plain.features[name].abs().max())
        difference = float((quick.features[name] - plain.features[name]).abs().max())
        assert difference < 0.06 * scale, name
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_batch_norms_right_behind_convolutions_are_folded_into_them():
    copied = answering(used(ResNet(depth=8)), "bfloat16")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in copied.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in used(ResNet(depth=8)).modules())


def test_in_float32_a_teacher_answers_itself():
    network = used(ResNet(depth=8))
    assert answering(network, "float32") is network


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: model.name)
def test_the_shapes_of_stages_are_known_without_arithmetic(model):
    network = used(model)
    with torch.no_grad():
        names = [name for name, _ in network.named_children()]
        outputs = observe(network, torch.zeros(1, 3, 32, 32), names)
    asked: list[int] = []
    network.register_forward_hook(lambda *_: asked.append(1))
    expected = {name: tuple(value.shape[1:]) for name, value in outputs.features.items()}
    assert shapes_of(network, (3, 32, 32)) == expected
    assert not asked
    assert all(part.device.type == "cpu" for part in network.parameters())


def test_weights_lie_with_their_channels_last_and_are_saved_as_they_always_were():
    network = build(ResNet(depth=8), (3, 32, 32), 10, seed=0)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    laid_out(network)
    stem = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    assert stem.weight.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_trains_in_bfloat16_and_goes_on_to_the_same_student(method, tmp_path):
    recipe = tiny(**suited(method), method=small_method(method), runtime={"precision": "bfloat16"})
    whole = list(distill(recipe, tmp_path / "whole", report_every=0))
    told = []
    stop = sum(isinstance(event, StageProgress) for event in whole) * 2 // 3
    events = distill(recipe, tmp_path / "cut", report_every=0)
    for event in events:
        told.append(event)
        stop -= isinstance(event, StageProgress)
        if not stop:
            break
    events.close()
    told += distill(recipe, tmp_path / "cut", report_every=0)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert curve(told) == curve(whole)
    assert {event.precision for event in whole if isinstance(event, AnswersReady)} == {"bfloat16"}


def measured(folder: Path, model: Model, seconds: dict[str, float], monkeypatch: Any) -> str:
    """Return what is chosen where a measurement says so many seconds."""
    calls: list[Model] = []

    def measure(_self: object, model: Model, *_: object) -> dict[str, float]:
        calls.append(model)
        return seconds

    monkeypatch.setattr(Measurements, "_measure", measure)
    chosen = Measurements(folder, Runtime(), CPU).precision(model, (3, 32, 32), 10, 64, "learn")
    return f"{chosen} after {len(calls)}"


@pytest.mark.parametrize(
    ("method", "where"),
    [
        ("reviewkd", "kdcore.objectives.reviewkd._context"),
        ("mgd", "kdcore.objectives.mgd._distance"),
    ],
)
def test_learned_layers_that_take_much_of_a_step_multiply_as_the_student_does(
    method, where, tmp_path, monkeypatch
):
    module, name = where.rsplit(".", 1)
    compare = getattr(importlib.import_module(module), name)
    seen: set[torch.dtype] = set()

    def noted(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
        seen.add(ours.dtype)
        distance = compare(ours, theirs)
        assert distance.dtype == torch.float32, "what is compared is compared in full"
        return distance

    monkeypatch.setattr(where, noted)
    for precision, expected in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        seen.clear()
        changes = {"training": {"max_steps": 2}, "runtime": {"precision": precision}}
        recipe = tiny(**IMAGES | changes, method=method, baseline=False)
        list(distill(recipe, tmp_path / precision))
        assert seen == {expected}


def test_the_faster_numbers_are_chosen_and_remembered_for_the_machine(tmp_path, monkeypatch):
    twice = {"float32": 2.0, "bfloat16": 1.0}
    hardly = {"float32": 1.1, "bfloat16": 1.0}
    assert measured(tmp_path, ResNet(depth=8), twice, monkeypatch) == "bfloat16 after 1"
    assert measured(tmp_path, ResNet(depth=8), hardly, monkeypatch) == "bfloat16 after 0"
    assert measured(tmp_path, ResNet(depth=14), hardly, monkeypatch) == "float32 after 1"
    (first, _) = sorted(tmp_path.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
    first.write_text(json.dumps({"precision": "float8"}))
    assert measured(tmp_path, ResNet(depth=8), hardly, monkeypatch) == "float32 after 1"


def test_a_processor_without_bfloat16_is_measured_once_and_keeps_float32(tmp_path, monkeypatch):
    slow = {"float32": 1.0, "bfloat16": 40.0}
    assert measured(tmp_path, ResNet(depth=8), slow, monkeypatch) == "float32 after 1"
    (kept,) = tmp_path.glob("*.json")
    assert json.loads(kept.read_text())["seconds"] == slow


def test_a_small_network_is_not_measured(tmp_path, monkeypatch):
    small = PlainCNN(stages=[[2]], hidden=[])
    assert measured(tmp_path, small, {}, monkeypatch) == "float32 after 0"


def test_what_is_measured_is_time_and_a_recipe_may_decide_itself(tmp_path):
    measurements = Measurements(tmp_path, Runtime(), CPU)
    for work in ("learn", "answer"):
        seconds = measurements._measure(ResNet(depth=8), (3, 32, 32), 10, work)
        assert all(0 < value < 60 for value in seconds.values())
    asked = Measurements(tmp_path, Runtime(precision="bfloat16"), CPU)
    small = PlainCNN(stages=[[2]], hidden=[])
    assert asked.precision(small, (3, 8, 8), 10, 1, "learn") == "bfloat16"


def test_what_a_run_has_settled_stays_whatever_is_measured_later(tmp_path):
    file = tmp_path / "choices.json"
    assert Choices(file).settle("question", lambda: "first") == "first"
    assert Choices(file).settle("question", lambda: "second") == "first"
    file.write_bytes(b"[torn")
    assert Choices(file).settle("question", lambda: "third") == "third"
