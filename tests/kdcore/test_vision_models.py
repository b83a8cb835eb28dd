"""Networks of timm and torchvision: described, built, distilled, delivered and opened again."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from recipes import tiny
from resumed import results
from safetensors.torch import load_file, save_file
from torch import nn

from kdcore import vision
from kdcore.errors import ExtraMissingError, RecipeError, UnreachableError, WeightsError
from kdcore.events import StageProgress
from kdcore.models.timm_models import Timm
from kdcore.models.torchvision_models import Torchvision
from kdcore.network import build, measured, observe, predict
from kdcore.recipe import Recipe
from kdcore.stages import embedding, maps
from kdcore.story import distill
from kdcore.student import load_student

ROOT = Path(__file__).parents[2]
TIMM = {"name": "timm", "architecture": "test_resnet"}
TORCHVISION = {"name": "torchvision", "architecture": "mobilenet_v3_small"}
SHORT = {"max_steps": 4, "per_device_train_batch_size": 16, "save_steps": 500}
PHOTO = (3, 32, 32)


def recipe(**changes: Any) -> Recipe:
    given = {
        "teacher": {"model": TIMM},
        "student": {"model": TIMM},
        "data": {"name": "digits", "labelled": 100},
        "training": SHORT,
        "baseline": False,
        "objectives": ["kd"],
        **changes,
    }
    return Recipe.model_validate({**tiny().model_dump(mode="json"), "method": None, **given})


def by_its_card(folder: Path) -> nn.Module:
    """Open a student as its README says, where it is."""
    program = (folder / "README.md").read_text().split("```python\n")[1].partition("```")[0]
    known: dict[str, Any] = {}
    program = program.replace("local-dir:.", f"local-dir:{folder}")
    exec(program.replace("student.safetensors", str(folder / "student.safetensors")), known)  # noqa: S102  # what people would type
    assert not known["student"].training, "what has batch norm or dropout would say other things"
    return known["student"]


def run(what: Recipe, folder: Path) -> Path:
    for _ in distill(what, folder):
        pass
    return folder / "artifacts"


@pytest.mark.parametrize(
    ("model", "usual", "head"),
    [
        (Timm(architecture="test_resnet"), ["act1", "layer1", "layer2", "layer3"], "fc.input"),
        (Timm(architecture="test_convnext"), ["stem", "stages.1", "stages.2"], "head.fc.input"),
        (Torchvision(architecture="resnet18"), ["relu", "layer1", "layer2", "layer3"], "fc.input"),
        (
            Torchvision(architecture="mobilenet_v3_small"),
            ["features.0", "features.1", "features.3", "features.8"],
            "classifier.3.input",
        ),
        (
            Torchvision(architecture="shufflenet_v2_x0_5"),
            ["conv1", "maxpool", "stage2", "stage3"],
            "fc.input",
        ),
    ],
)
def test_usual_layers_are_those_that_one_would_name(model, usual, head):
    assert model.shapes(PHOTO, 10) is None
    assert model.parameters(PHOTO, 10) is None
    shapes = measured(model, PHOTO, 10)
    assert maps(shapes, "teacher") == usual
    assert embedding(shapes, "teacher") == head
    if not model.architecture.startswith("mobilenet"):
        network = build(model, PHOTO, 10, seed=0).eval()
        inputs = torch.randn(2, *PHOTO)
        seen = observe(network, inputs, [*usual, head])
        assert torch.equal(seen.logits, network(inputs))
        for name, feature in seen.features.items():
            assert tuple(feature.shape[1:]) == shapes[name]


@pytest.mark.parametrize(
    "model",
    [Timm(architecture="test_vit"), Torchvision(architecture="swin_t")],
)
def test_what_computes_in_tokens_has_no_usual_map(model):
    shapes = measured(model, PHOTO, 10)
    with pytest.raises(RecipeError, match="no feature map"):
        maps(shapes, "student")
    assert embedding(shapes, "student") == "head.input"


def test_options_reach_the_network_and_initial_weights_depend_on_the_seed():
    model = Timm(architecture="test_resnet", drop_rate=0.25, drop_path_rate=0.1)
    network = build(model, (1, 8, 8), 5, seed=3)
    assert network.drop_rate == 0.25
    assert network.conv1[0].in_channels == 1
    again, other = (build(model, (1, 8, 8), 5, seed=seed) for seed in (3, 4))
    assert torch.equal(network.fc.weight, again.fc.weight)
    assert not torch.equal(network.fc.weight, other.fc.weight)


@pytest.mark.parametrize(
    "architecture",
    ["hf-hub:some/one", "hf_hub:some/one", "local-dir:/etc", "../x", "a/b", "a b", "resnet18.", ""],
)
@pytest.mark.parametrize("name", ["timm", "torchvision"])
def test_a_name_is_a_name_and_no_place(name, architecture):
    with pytest.raises(ValidationError, match="pattern"):
        recipe(student={"model": {"name": name, "architecture": architecture}})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"name": "timm", "architecture": "test_resnett"}, "perhaps test_resnet"),
        ({"name": "timm", "architecture": "test_resnet.nobody"}, "Invalid pretrained tag"),
        ({"name": "torchvision", "architecture": "resnet19"}, "perhaps resnet1"),
        ({"name": "timm", "architecture": "test_vit"}, "divisible"),
        ({"name": "torchvision", "architecture": "squeezenet1_1"}, "cannot take inputs"),
        ({"name": "timm", "architecture": "vgg11", "drop_path_rate": 0.1}, "drop_path_rate"),
    ],
)
def test_what_cannot_be_built_is_told_before_anything_is_trained(model, message, tmp_path):
    with pytest.raises(RecipeError, match=message) as refusal:
        run(recipe(student={"model": model}), tmp_path)
    assert refusal.value.pointer == "/student/model"
    assert refusal.value.hint
    assert not (tmp_path / "stages").exists()


def test_what_is_no_image_is_refused_without_building():
    with pytest.raises(ValidationError, match="takes images"):
        recipe(data={"name": "synthetic", "shape": [16]})


@pytest.mark.parametrize("objective", ["simkd", "maskd"])
def test_what_takes_networks_to_pieces_says_so(objective):
    with pytest.raises(ValidationError, match="network of another library"):
        recipe(objectives=[objective])


PHOTOS = {"name": "synthetic", "shape": [3, 64, 64], "train_size": 64, "test_size": 32}
OURS = {"name": "plain_cnn", "stages": [[4], [6]], "hidden": []}


def test_simkd_takes_over_the_head_of_a_network_that_averages_its_last_map(tmp_path):
    changes = {"data": PHOTOS, "export": ["safetensors", "onnx"], "objectives": ["simkd"]}
    what = recipe(student={"model": OURS}, **changes)
    folder = run(what, tmp_path)
    student, theirs = load_student(folder), load_file(folder / "teacher.safetensors")
    head = student.get_submodule("head").state_dict()
    assert torch.equal(head["0.weight"], theirs["fc.weight"])
    assert torch.equal(head["0.bias"], theirs["fc.bias"])
    assert student(torch.rand(2, 3, 64, 64)).shape == (2, 4)


def test_simkd_refuses_a_head_that_is_given_more_than_an_average(tmp_path):
    for model in (TORCHVISION, {"name": "timm", "architecture": "test_convnext"}):
        changes = {"data": PHOTOS, "objectives": ["simkd"]}
        what = recipe(teacher={"model": model}, student={"model": OURS}, **changes)
        with pytest.raises(RecipeError, match="more than a global average") as refusal:
            run(what, tmp_path / model["name"])
        assert refusal.value.pointer == "/teacher/model"


def test_a_layer_that_is_not_there_is_told_with_a_pointer(tmp_path):
    objective = {"name": "fitnet", "student_layer": "layer2.9", "teacher_layer": "layer2"}
    with pytest.raises(RecipeError, match=r"no layer 'layer2\.9' in the student") as refusal:
        run(recipe(objectives=["kd", objective]), tmp_path)
    assert refusal.value.pointer == "/objectives/1"


def test_features_of_layers_by_path_are_distilled_and_timm_opens_the_student(tmp_path):
    layers = [["layer1.0", "layer1"], ["layer2", "layer2"]]
    objectives = ["kd", "fitnet", "crd", "mgd", "rkd", "reviewkd", {"name": "at", "layers": layers}]
    folder = run(recipe(objectives=objectives, export=["safetensors", "onnx"]), tmp_path)
    student = load_student(folder)
    network = vision.import_timm().create_model("test_resnet", num_classes=10, in_chans=1)
    network.load_state_dict(load_file(folder / "student.safetensors"))
    inputs = torch.rand(4, 1, 8, 8)
    assert torch.equal(predict(network, inputs), predict(student, inputs))
    assert json.loads((folder / "config.json").read_bytes())["onnx_largest_difference"] < 1e-4
    opened = by_its_card(folder)
    assert torch.equal(predict(opened, inputs), predict(student, inputs))


def test_torchvision_opens_the_student(tmp_path):
    data = {"name": "synthetic", "shape": [3, 8, 8], "train_size": 64, "test_size": 32}
    what = recipe(student={"model": TORCHVISION}, data=data, export=["safetensors", "onnx"])
    folder = run(what, tmp_path)
    models = vision.import_torchvision().models
    network = models.get_model("mobilenet_v3_small", num_classes=4)
    network.load_state_dict(load_file(folder / "student.safetensors"))
    inputs = torch.rand(4, 3, 8, 8)
    assert torch.equal(predict(network, inputs), predict(load_student(folder), inputs))
    assert torch.equal(predict(by_its_card(folder), inputs), predict(network, inputs))


def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    """With dropout, which draws in every step."""
    student = {"model": {**TIMM, "drop_rate": 0.2, "drop_path_rate": 0.1}}
    what = recipe(student=student, objectives=["kd", "fitnet"], training={**SHORT, "max_steps": 8})
    run(what, tmp_path / "whole")
    story = distill(what, tmp_path / "stopped", report_every=0)
    for event in story:
        if isinstance(event, StageProgress) and event.role == "student" and event.step == 3:
            break
    story.close()
    run(what, tmp_path / "stopped")
    assert results(tmp_path / "stopped") == results(tmp_path / "whole")


def test_a_kept_teacher_teaches_the_same_as_one_that_is_asked(tmp_path):
    for use in ("always", "never"):
        caching = {"use": use, "dtype": "float32"}
        what = recipe(objectives=["kd", "fitnet", "rkd"], teacher_cache=caching)
        run(what, tmp_path / use)
    kept, asked = (results(tmp_path / use) for use in ("always", "never"))
    assert kept["student-0.safetensors"] == asked["student-0.safetensors"]
    assert list((tmp_path / "always/teacher-caches").glob("*/train-layer*"))


def given(folder: Path, state: dict[str, torch.Tensor]) -> Recipe:
    save_file(state, folder / "teacher.safetensors")
    return recipe(teacher={"model": TIMM, "weights": "teacher.safetensors"})


def test_weights_of_timms_own_names_are_a_finished_teacher(tmp_path):
    state = (
        vision.import_timm().create_model("test_resnet", num_classes=10, in_chans=1).state_dict()
    )
    what = given(tmp_path, state)
    for _ in distill(what, tmp_path / "work", inputs=tmp_path):
        pass
    assert [*results(tmp_path / "work")] == ["student-0.json", "student-0.safetensors"]


@pytest.mark.parametrize(
    ("spoil", "message", "hint"),
    [
        (
            lambda state: {f"module.{name}": value for name, value in state.items()},
            "is missing",
            r"every name begins with 'module\.'.*removeprefix",
        ),
        (
            lambda state: state | {"fc.weight": torch.zeros(7, 96), "fc.bias": torch.zeros(7)},
            r"fc\.weight has shape \[7, 96\]",
            "all but the head 'fc' fits, which is for 7 classes and not for 10",
        ),
        (lambda state: state | {"more": torch.zeros(1)}, "more is not in the network", "exactly"),
        (
            lambda state: {name: value for name, value in state.items() if name != "fc.bias"},
            r"fc\.bias is missing",
            "exactly this model",
        ),
    ],
)
def test_weights_that_nearly_fit_are_told_with_the_way_out(spoil, message, hint, tmp_path):
    state = build(Timm(architecture="test_resnet"), (1, 8, 8), 10, seed=0).state_dict()
    what = given(tmp_path, {name: one.contiguous() for name, one in spoil(state).items()})
    with pytest.raises(WeightsError, match=message) as told:
        list(distill(what, tmp_path / "work", inputs=tmp_path))
    assert re.search(hint, told.value.hint)


def test_a_missing_extra_is_named(monkeypatch):
    for library in (vision.import_timm, vision.import_torchvision, vision.import_transformers):
        library.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ExtraMissingError, match="the extra `vision`") as missing:
        measured(Timm(architecture="test_resnet"), PHOTO, 10)
    assert "pip install 'stillhouse-server[vision]'" in missing.value.hint
    assert missing.value.code == "extra_missing"


@pytest.mark.parametrize(
    "model",
    [
        Timm(architecture="test_resnet", pretrained=True),
        Torchvision(architecture="mobilenet_v3_small", pretrained=True),
    ],
)
def test_weights_that_cannot_be_fetched_are_told_with_the_way_out(model, monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise OSError("no route to the hub\nand more")

    network = build(model, PHOTO, 10, seed=0)
    for place in (
        "timm.models._builder.load_state_dict_from_hf",
        "torchvision.models._api.load_state_dict_from_url",
    ):
        monkeypatch.setattr(place, refused)
    with pytest.raises(UnreachableError, match="no route to the hub") as told:
        model.furnish(network, PHOTO, 10)
    assert "and more" not in str(told.value)
    assert "cache" in told.value.hint
    assert model.delivered().pretrained is False


def test_published_weights_are_taken_but_for_what_does_not_fit(monkeypatch):
    published = build(Torchvision(architecture="mobilenet_v3_small"), PHOTO, 1000, seed=7)
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url",
        lambda *_, **__: published.state_dict(),
    )
    model = Torchvision(architecture="mobilenet_v3_small", pretrained=True)
    for shape in (PHOTO, (1, 32, 32)):
        network = build(model, shape, 10, seed=0, furnished=True).state_dict()
        plain = build(model, shape, 10, seed=0).state_dict()
        same = {name for name, value in network.items() if torch.equal(value, plain[name])}
        assert {"classifier.3.weight", "classifier.3.bias"} <= same
        assert ("features.0.0.weight" in same) == (shape[0] == 1)
        assert torch.equal(
            network["features.3.block.0.0.weight"].float(),
            published.state_dict()["features.3.block.0.0.weight"],
        )


def test_these_models_are_described_where_their_libraries_are_missing():
    program = (
        "import no_torch\n"
        "from kdcore.recipe import Recipe\n"
        f"Recipe.model_validate({{'teacher': {{'model': {TIMM}}}, 'student': {{'model': "
        f"{TORCHVISION}}}, 'data': 'digits'}})\n"
        "print('read')"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests/architecture")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "read\n", done.stderr
