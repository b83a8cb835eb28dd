"""Images normalised as the teacher's weights expect: what tells it, and what is said otherwise."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from digit_images import digits, unpacked
from pydantic import ValidationError
from recipes import tiny

from kdcore.errors import RecipeError
from kdcore.events import Warned
from kdcore.models.timm_models import Timm
from kdcore.models.torchvision_models import Torchvision
from kdcore.network import build, weights_bytes
from kdcore.preflight import look
from kdcore.preparation import expected, read_preparation
from kdcore.recipe import Recipe
from kdcore.story import distill
from kdcore.vision import import_timm, import_transformers

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}
"""What timm's networks for tests expect."""
TIMM = {"name": "timm", "architecture": "test_resnet"}
SHORT = {"max_steps": 2, "per_device_train_batch_size": 4, "save_steps": 500}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}


def recipe(folder: Path, teacher: dict[str, Any], **data: Any) -> Recipe:
    unpacked(folder / "photos", digits(10))
    images = {"name": "image_folder", "path": "photos", "image_size": 8, **data}
    changes = {"teacher": teacher, "student": {"model": TIMM}, "data": images, "training": SHORT}
    plain = tiny().model_dump(mode="json")
    return Recipe.model_validate(
        {**plain, "method": None, "objectives": ["kd"], "baseline": False, **changes}
    )


def given(folder: Path, architecture: str = "test_resnet") -> dict[str, Any]:
    """Put a teacher of timm for three classes into a folder."""
    model = Timm(architecture=architecture)
    (folder / "t.safetensors").write_bytes(weights_bytes(build(model, (3, 8, 8), 3, seed=0)))
    return {"model": model.model_dump(mode="json"), "weights": "t.safetensors"}


def saved(folder: Path, **preparation: Any) -> dict[str, Any]:
    """Write a folder of transformers with what prepares its images."""
    transformers = import_transformers()
    config = transformers.ResNetConfig(**RESNET, num_labels=3)
    transformers.ResNetForImageClassification(config).save_pretrained(folder / "mine")
    processor = transformers.ViTImageProcessor(size={"height": 8, "width": 8}, **preparation)
    processor.save_pretrained(folder / "mine")
    return {"model": {"name": "huggingface", "path": "mine"}}


@pytest.mark.parametrize(
    ("model", "mean", "std"),
    [
        (Timm(architecture="resnet18"), *IMAGENET),
        (Timm(architecture="vit_tiny_patch16_224.augreg_in21k"), [0.5] * 3, [0.5] * 3),
        (Timm(architecture="inception_v3.tf_in1k"), [0.5] * 3, [0.5] * 3),
        (Torchvision(architecture="resnet18"), *IMAGENET),
    ],
)
def test_libraries_tell_what_their_weights_expect(
    model: Timm | Torchvision, mean: list[float], std: list[float]
):
    found = model.expects()
    assert found is not None
    assert ([*found.mean], [*found.std]) == (mean, std)


def test_timm_is_given_what_its_own_transform_gives(tmp_path: Path):
    what = recipe(tmp_path, given(tmp_path), normalize="teacher")
    list(distill(what, tmp_path / "work", inputs=tmp_path))
    told = json.loads((tmp_path / "work/artifacts/config.json").read_bytes())
    told = told.get("stillhouse", told)["preprocessing"]
    timm = import_timm()
    config = timm.data.resolve_data_config(model=timm.create_model("test_resnet"))
    assert (tuple(told["mean"]), tuple(told["std"])) == (config["mean"], config["std"])
    normalize = timm.data.create_transform(**config).transforms[-1]
    pixels = torch.rand(3, 8, 8)
    mean, std = (torch.tensor(told[name]).view(-1, 1, 1) for name in ("mean", "std"))
    torch.testing.assert_close((pixels - mean) / std, normalize(pixels))


def test_the_numbers_stand_in_the_lock_and_make_the_run(tmp_path: Path):
    teacher = given(tmp_path)
    asked = recipe(tmp_path, teacher, normalize="teacher")
    written = recipe(tmp_path, teacher, normalize=HALF)
    locks = []
    for name, what in {"asked": asked, "written": written}.items():
        list(distill(what, tmp_path / name, inputs=tmp_path))
        locks.append(json.loads((tmp_path / name / "artifacts/spec.lock").read_bytes()))
    first, second = locks
    assert first == second
    assert first["data"]["normalize"] == HALF
    again = Recipe.model_validate(first)
    warned = [
        one.code
        for one in distill(again, tmp_path / "again", inputs=tmp_path)
        if isinstance(one, Warned)
    ]
    assert not {"lock_differs", "replay_differs", "unlike_its_teacher"} & {*warned}


def test_a_given_teacher_of_other_pixels_is_a_caution_with_the_way_out(tmp_path: Path):
    teacher = given(tmp_path)
    for normalize, expects in (("none", 1), ("imagenet", 1), ("teacher", 0)):
        told = look(recipe(tmp_path, teacher, normalize=normalize), tmp_path)
        assert told.compatible
        found = [one for one in told.warnings if "trained with mean 0.5, 0.5, 0.5" in one]
        assert len(found) == expects
    warned = [
        one
        for one in distill(recipe(tmp_path, teacher), tmp_path / "work", inputs=tmp_path)
        if isinstance(one, Warned) and one.code == "unlike_its_teacher"
    ]
    assert ["normalize: teacher" in str(one.hint) for one in warned] == [True]
    grey = recipe(tmp_path, {"model": TIMM}, channels=1)
    assert not [one for one in look(grey, tmp_path).warnings if "usually" in one]


def test_a_folder_of_transformers_tells_it_as_well(tmp_path: Path):
    teacher = saved(tmp_path, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.2, 0.1])
    told = look(recipe(tmp_path, teacher), tmp_path)
    assert any("mean 0.5, 0.4, 0.3 and std 0.2, 0.2, 0.1" in one for one in told.warnings)
    told = look(recipe(tmp_path, teacher, normalize="teacher"), tmp_path)
    assert (told.compatible, told.warnings) == (True, [])


@pytest.mark.parametrize(
    ("told", "mean", "std"),
    [
        ({"image_mean": [0.5], "image_std": [0.25]}, 0.5, 0.25),
        ({"image_mean": [0.5], "image_std": [0.5], "do_normalize": False}, 0.0, 1.0),
        ({"image_mean": [127.5], "image_std": [255], "do_rescale": False}, 0.5, 1.0),
        ({"image_mean": [1], "image_std": [1], "rescale_factor": 2 / 255}, 0.5, 0.5),
    ],
)
def test_a_preparation_is_told_in_pixels_from_0_to_1(
    told: dict[str, Any], mean: float, std: float, tmp_path: Path
):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    found = read_preparation(tmp_path)
    assert found is not None
    assert (*found.mean, *found.std) == pytest.approx((mean, std))


@pytest.mark.parametrize(
    "told",
    [
        *("", "{", "[]", "{}", "[" * 10_000, '{"image_mean": "x", "image_std": 3}'),
        '{"image_mean": [0.5], "image_std": [0]}',
        '{"image_mean": [0.5], "image_std": [1, 1]}',
        '{"image_mean": [0.5], "image_std": [NaN]}',
        '{"image_mean": [0.5], "image_std": [1], "do_flip_channel_order": true}',
        '{"image_mean": [0.5], "image_std": [1], "rescale_factor": "x"}',
        '{"image_mean": [0.5], "image_std": [1], "rescale_factor": -1}',
    ],
)
def test_what_is_no_preparation_tells_nothing(told: str, tmp_path: Path):
    assert read_preparation(tmp_path) is None
    (tmp_path / "preprocessor_config.json").write_text(told)
    assert read_preparation(tmp_path) is None
    assert expected(None, [1]) is None


def test_what_nothing_tells_is_refused_with_a_pointer(tmp_path: Path):
    with pytest.raises(ValidationError, match="nothing tells what") as told:
        recipe(tmp_path, {"model": "resnet8"}, normalize="teacher")
    assert told.value.errors()[0]["ctx"]["pointer"] == "/data/normalize"
    teacher = saved(tmp_path)
    (tmp_path / "mine/preprocessor_config.json").unlink()
    for one, options in ((teacher, {}), (given(tmp_path), {"channels": 1})):
        what = recipe(tmp_path, one, normalize="teacher", **options)
        (problem,) = look(what, tmp_path).problems
        assert (problem.pointer, problem.code) == ("/data/normalize", "recipe_invalid")
        assert "write the numbers" in problem.hint
        with pytest.raises(RecipeError, match="normalize: teacher"):
            list(distill(what, tmp_path / "work", inputs=tmp_path))
