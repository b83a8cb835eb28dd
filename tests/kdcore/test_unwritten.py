"""Gradients that PyTorch leaves unwritten in bfloat16 are never learned from."""

import pytest
import torch
from recipes import tiny

from kdcore.arithmetic import Measurements
from kdcore.computing import Runtime
from kdcore.errors import RecipeError
from kdcore.models.plain_cnn import PlainCNN
from kdcore.models.resnet import ResNet
from kdcore.models.timm_models import Timm
from kdcore.story import distill
from kdcore.unwritten import leaves_unwritten

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("model", "shape", "expected"),
    [
        (ResNet(depth=8), (3, 32, 32), False),
        (ResNet(depth=8), (3, 4, 4), False),
        (ResNet(depth=8), (3, 2, 2), True),
        (Timm(architecture="test_resnet"), (1, 16, 16), True),
        (Timm(architecture="test_resnet"), (1, 64, 64), False),
        (PlainCNN(stages=[[4], [6]], hidden=[]), (1, 8, 8), False),
    ],
)
def test_strided_convolutions_on_a_map_of_one_pixel_are_found(model, shape, expected):
    assert leaves_unwritten(model, shape, 4) is expected


@pytest.mark.parametrize(("side", "chosen"), [(16, "float32"), (64, "bfloat16")])
def test_such_a_network_learns_in_float32_however_fast_the_other_is(
    tmp_path, monkeypatch, side, chosen
):
    monkeypatch.setattr(
        "kdcore.arithmetic.Measurements._measure", lambda *_: {"float32": 2.0, "bfloat16": 1.0}
    )
    asked = Measurements(tmp_path, Runtime(), CPU)
    model = Timm(architecture="test_resnet")
    assert asked.precision(model, (1, side, side), 4, 512, "learn") == chosen
    assert asked.precision(model, (1, side, side), 4, 512, "answer") == "bfloat16"


def test_whoever_insists_is_told_before_anything_is_trained(tmp_path):
    recipe = tiny(
        data={"name": "synthetic", "shape": [3, 2, 2], "train_size": 64, "test_size": 32},
        student={"model": {"name": "resnet", "depth": 8}},
        runtime={"precision": "bfloat16", "device": "cpu"},
    )
    with pytest.raises(RecipeError, match="a map of one pixel") as caught:
        list(distill(recipe, tmp_path))
    assert caught.value.pointer == "/runtime/precision"
    assert not list(tmp_path.glob("stages/*.safetensors"))
