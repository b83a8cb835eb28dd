"""Networks of transformers: from a folder or from settings, and never with code or pickles."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from recipes import tiny
from resumed import results
from torch import nn

from kdcore.errors import RecipeError, WeightsError
from kdcore.models.huggingface import HuggingFace, HuggingFaceConfig
from kdcore.network import build, measured, observe, predict
from kdcore.recipe import Recipe
from kdcore.stages import embedding, maps
from kdcore.story import distill
from kdcore.student import load_student
from kdcore.vision import import_transformers

VIT: dict[str, Any] = {
    "model_type": "vit",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 8,
    "patch_size": 2,
    "hidden_dropout_prob": 0.1,
}
RESNET: dict[str, Any] = {
    "model_type": "resnet",
    "depths": [1, 1],
    "hidden_sizes": [8, 16],
    "embedding_size": 8,
    "layer_type": "basic",
}
DIGIT = (1, 8, 8)


def described(config: dict[str, Any]) -> dict[str, Any]:
    return {"name": "huggingface_config", "config": config}


def saved(
    folder: Path, config: dict[str, Any] = VIT, classes: int = 10, **changes: Any
) -> nn.Module:
    """Write a folder as the library itself does."""
    transformers = import_transformers()
    settings = {name: value for name, value in VIT.items() if name != "model_type"}
    settings |= {"num_channels": 1, "num_labels": classes}
    read = transformers.AutoConfig.for_model("vit", **settings)
    network = transformers.AutoModelForImageClassification.from_config(read)
    network.save_pretrained(folder)
    if changes:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_bytes()) | changes))
    return network.eval()


def recipe(**changes: Any) -> Recipe:
    given = {
        "teacher": {"model": described(RESNET)},
        "student": {"model": described(VIT)},
        "data": {"name": "digits", "labelled": 100},
        "training": {"max_steps": 4, "per_device_train_batch_size": 16, "save_steps": 500},
        "baseline": False,
        "objectives": ["kd"],
        **changes,
    }
    return Recipe.model_validate({**tiny().model_dump(mode="json"), "method": None, **given})


def run(what: Recipe, folder: Path, inputs: Path | None = None) -> Path:
    for _ in distill(what, folder, inputs=inputs):
        pass
    return folder / "artifacts"


def test_logits_come_out_and_layers_have_usual_names():
    vit, resnet = (HuggingFaceConfig(config=config) for config in (VIT, RESNET))
    shapes = measured(vit, DIGIT, 7)
    assert embedding(shapes, "student") == "classifier.input"
    with pytest.raises(RecipeError, match="no feature map"):
        maps(shapes, "student")
    assert maps(measured(resnet, (1, 32, 32), 7), "student") == [
        "resnet.embedder.embedder",
        "resnet.embedder",
        "resnet",
    ]
    network = build(vit, DIGIT, 7, seed=0).eval()
    inputs = torch.randn(2, *DIGIT)
    seen = observe(network, inputs, ["vit.layers.1", "classifier.input"])
    assert seen.logits.shape == (2, 7)
    assert torch.equal(seen.logits, network(inputs))
    assert seen.features["vit.layers.1"].shape == (2, 17, 16)
    again = build(vit, DIGIT, 7, seed=0).eval()
    assert torch.equal(again(inputs), seen.logits)


def test_a_student_is_delivered_as_a_folder_that_transformers_opens(tmp_path):
    objectives = ["kd", "rkd", "crd"]
    folder = run(recipe(objectives=objectives, export=["safetensors", "onnx"]), tmp_path)
    transformers = import_transformers()
    theirs = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    ours = load_student(folder)
    inputs = torch.rand(3, *DIGIT)
    with torch.no_grad():
        assert torch.equal(theirs(inputs).logits, predict(ours, inputs))
    config = json.loads((folder / "config.json").read_bytes())
    assert config["architectures"] == ["ViTForImageClassification"]
    assert config["stillhouse"]["format"] == "stillhouse-student"
    assert config["stillhouse"]["onnx_largest_difference"] < 1e-4


def test_a_folder_teaches_as_it_is(tmp_path):
    network = saved(tmp_path / "inputs/mine")
    what = recipe(
        teacher={"model": {"name": "huggingface", "path": "mine"}}, export=["safetensors"]
    )
    model = what.teacher.model.located(tmp_path / "inputs")
    inputs = torch.rand(3, *DIGIT)
    found = build(model, DIGIT, 10, seed=5, furnished=True)
    with torch.no_grad():
        assert torch.equal(predict(found, inputs), network(inputs).logits)
    folder = run(what, tmp_path / "work", tmp_path / "inputs")
    assert not (folder / "teacher.safetensors").exists()
    assert [*results(tmp_path / "work")] == ["student-0.json", "student-0.safetensors"]


def test_a_folder_learns_on_and_leaves_without_it(tmp_path):
    inputs = tmp_path / "inputs"
    saved(inputs / "mine", classes=5, id2label={str(place): f"thing {place}" for place in range(5)})
    mine = {"name": "huggingface", "path": "mine", "new_head": True}
    what = recipe(teacher={"model": mine}, student={"model": mine}, export=["safetensors"])
    folder = run(what, tmp_path / "work", inputs)
    assert (folder / "teacher.safetensors").exists()
    assert load_student(folder)(torch.rand(2, *DIGIT)).shape == (2, 10)
    config = json.loads((folder / "config.json").read_bytes())
    assert config["stillhouse"]["model"]["name"] == "huggingface_config"


def test_labels_of_the_folder_stay_where_they_are_the_datas(tmp_path):
    saved(tmp_path / "mine", id2label={str(place): f"digit {place}" for place in range(10)})
    model = HuggingFace(path="mine").located(tmp_path)
    assert build(model, DIGIT, 10, seed=0).config.id2label[3] == "digit 3"


def test_other_classes_are_told_with_the_way_out(tmp_path):
    saved(tmp_path / "mine", classes=5)
    what = recipe(teacher={"model": {"name": "huggingface", "path": "mine"}})
    with pytest.raises(WeightsError, match="does not fit the network for 10 classes") as told:
        run(what, tmp_path / "work", tmp_path)
    assert "new_head: true" in told.value.hint


def test_weights_of_another_network_are_refused(tmp_path):
    saved(tmp_path / "mine", hidden_size=16, num_hidden_layers=3)
    what = recipe(teacher={"model": {"name": "huggingface", "path": "mine"}})
    with pytest.raises(WeightsError, match="does not fit the network for 10 classes: vit"):
        run(what, tmp_path / "work", tmp_path)


def test_another_file_in_the_folder_is_another_run(tmp_path):
    saved(tmp_path / "mine")
    what = recipe(teacher={"model": {"name": "huggingface", "path": "mine"}})
    run(what, tmp_path / "work", tmp_path)
    saved(tmp_path / "mine")
    with pytest.raises(Exception, match="belongs to another recipe"):
        run(what, tmp_path / "work", tmp_path)


def _as_it_is(_: Path) -> None:
    """Spoil config.json alone."""


HOSTILE = {
    "auto_map": (_as_it_is, {"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
    "auto_map within": (_as_it_is, {"more": {"auto_map": 1}}, "auto_map"),
    "code": (lambda folder: (folder / "modeling.py").write_text("boom"), {}, "modeling.py"),
    "a pickle": (
        lambda folder: (folder / "pytorch_model.bin").write_bytes(b"boom"),
        {},
        "pytorch_model.bin",
    ),
    "a checkpoint": (lambda folder: (folder / "a.PT").write_bytes(b"boom"), {}, "a.PT"),
    "an unknown architecture": (_as_it_is, {"model_type": "timm_wrapper"}, "model_type"),
    "no architecture": (_as_it_is, {"model_type": None}, "model_type"),
    "a deep one": (_as_it_is, {"num_hidden_layers": 60_000}, "at most 512 layers"),
    "a wide one": (_as_it_is, {"hidden_size": 10**9}, "expected a number within 65536"),
    "one too wide for the machine": (
        _as_it_is,
        {"hidden_size": 65_536, "intermediate_size": 65_536, "num_hidden_layers": 8},
        "whose weights take",
    ),
    "no object": (lambda folder: (folder / "config.json").write_text("[]"), {}, "an object"),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), {}, "no readable"),
    "nothing": (lambda folder: (folder / "config.json").unlink(), {}, "no readable"),
    "deep JSON": (
        lambda folder: (folder / "config.json").write_text("[" * 10**5),
        {},
        "no readable",
    ),
    "a long one": (
        lambda folder: (folder / "config.json").write_text(f'{{"a": "{"x" * 2**20}"}}'),
        {},
        "at most 1048576 bytes",
    ),
    "senseless sizes": (_as_it_is, {"hidden_size": -3}, "cannot build vit"),
    "other channels": (_as_it_is, {"num_channels": 3}, "num_channels 3"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_folder_is_refused_before_anything_of_it_is_run(kind, tmp_path):
    spoil, changes, message = HOSTILE[kind]
    saved(tmp_path / "mine", **changes)
    spoil(tmp_path / "mine")
    what = recipe(teacher={"model": {"name": "huggingface", "path": "mine"}})
    with pytest.raises(RecipeError, match=message) as told:
        run(what, tmp_path / "work", tmp_path)
    assert told.value.pointer == "/teacher/model"
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.unlink(), "no such file"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "no readable safetensors"),
        (lambda file: file.write_bytes(b"\x80\x04K\x01."), "no readable safetensors"),
    ],
)
def test_damaged_weights_are_told(spoil, message, tmp_path):
    saved(tmp_path / "mine")
    spoil(tmp_path / "mine/model.safetensors")
    what = recipe(teacher={"model": {"name": "huggingface", "path": "mine"}})
    with pytest.raises(WeightsError, match=message):
        run(what, tmp_path / "work", tmp_path)


@pytest.mark.parametrize("path", ["../mine", "/etc", "a/../../b", "C:mine", "~root"])
def test_a_folder_outside_is_refused(path):
    with pytest.raises(ValidationError, match="inside the inputs folder"):
        recipe(teacher={"model": {"name": "huggingface", "path": path}})


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"hidden_size": 16},
        {"model_type": "llama"},
        {"model_type": "timm_wrapper", "architecture": "resnet18"},
        *({**VIT, name: "x/y"} for name in ("attn_implementation", "auto_map", "_name_or_path")),
        {**VIT, "quantization_config": {"a": 1}},
        {**VIT, "num_labels": 3},
        {**VIT, "hidden_size": 10**7},
        {**VIT, "num_hidden_layers": 513},
        {**RESNET, "depths": [1, 10_000]},
        {**VIT, "hidden_act": "x" * 201},
        {**VIT, "depths": [[[1]]]},
        {**VIT, "__class__": 1},
    ],
)
def test_settings_are_those_of_an_architecture_and_bounded(config):
    with pytest.raises(ValidationError):
        recipe(student={"model": described(config)})
