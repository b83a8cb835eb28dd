"""A delivered folder is opened by the library that its student is from, and says the same there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from digit_images import digits, unpacked
from PIL import Image
from recipes import tiny

from kdcore.models.timm_models import Timm
from kdcore.network import predict
from kdcore.recipe import Recipe
from kdcore.story import distill
from kdcore.student import load_student
from kdcore.vision import import_timm, import_transformers

TIMM = {"name": "timm", "architecture": "test_resnet"}
FIXED = {"name": "timm", "architecture": "deit_tiny_patch16_224"}
RESNET = {
    "name": "huggingface_config",
    "config": {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 16],
        "depths": [1, 1],
        "layer_type": "basic",
    },
}
SHORT = {"max_steps": 2, "per_device_train_batch_size": 4, "save_steps": 500}
NAMES = ["one", "two", "zero"]


def delivered(folder: Path, student: dict[str, Any], **changes: Any) -> Path:
    """Distil a student on images of three classes; return what is delivered."""
    unpacked(folder / "photos", digits(10))
    own = {"image_size": 8, "normalize": "imagenet", **changes.pop("data", {})}
    images = {"name": "image_folder", "path": "photos", **own}
    given = {"teacher": {"model": TIMM}, "student": {"model": student}, "data": images, **changes}
    plain = {**tiny().model_dump(mode="json"), "method": None, "baseline": False}
    what = Recipe.model_validate({**plain, "objectives": ["kd"], "training": SHORT, **given})
    list(distill(what, folder / "work", inputs=folder))
    return folder / "work/artifacts"


@pytest.mark.parametrize(
    ("model", "data", "shape"),
    [
        (TIMM, {}, (3, 8, 8)),
        (TIMM, {"channels": 1, "normalize": "none"}, (1, 8, 8)),
        (FIXED, {"image_size": 32, "fit": "crop"}, (3, 32, 32)),
    ],
)
def test_timm_opens_a_folder_by_itself(
    model: dict[str, Any], data: dict[str, Any], shape: tuple[int, ...], tmp_path: Path
):
    smaller = {"name": "plain_cnn", "stages": [[4]], "hidden": []}
    path = {"name": "takd", "assistants": [smaller]}  # whose file would come first
    folder = delivered(tmp_path, model, data=data, path=path)
    timm = import_timm()
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    ours, inputs = load_student(folder), torch.rand(4, *shape)
    assert torch.equal(predict(theirs, inputs), predict(ours, inputs))
    config = timm.data.resolve_data_config(model=theirs)
    told = json.loads((folder / "config.json").read_bytes())
    assert told["format"] == "stillhouse-student"
    assert tuple(config["input_size"]) == shape
    for name in ("mean", "std"):
        assert [*config[name]] == told["preprocessing"][name]
    assert theirs.pretrained_cfg["label_names"] == NAMES
    pixels = np.random.default_rng(0).integers(0, 255, (*shape[1:], 3), np.uint8)
    image = Image.fromarray(pixels).convert("L" if shape[0] == 1 else "RGB")
    mean, std = (torch.tensor(config[name]).view(-1, 1, 1) for name in ("mean", "std"))
    bare = torch.from_numpy(np.array(image)).reshape(*shape[1:], shape[0]).permute(2, 0, 1) / 255
    torch.testing.assert_close(timm.data.create_transform(**config)(image), (bare - mean) / std)


def test_a_folder_that_timm_opens_is_a_teacher_again(tmp_path: Path):
    folder = delivered(tmp_path, TIMM)
    (tmp_path / "second").mkdir()
    folder.rename(tmp_path / "second/earlier")
    earlier = {"name": "artifact", "path": "earlier"}
    again = delivered(
        tmp_path / "second", earlier, teacher={"model": earlier}, data={"normalize": "teacher"}
    )
    assert (again / "model.safetensors").read_bytes() == (
        again / "student.safetensors"
    ).read_bytes()
    theirs = import_timm().create_model(f"local-dir:{again}", pretrained=True)
    inputs = torch.rand(2, 3, 8, 8)
    assert torch.equal(predict(theirs.eval(), inputs), predict(load_student(again), inputs))
    lock = json.loads((again / "spec.lock").read_bytes())["lock"]
    assert lock["versions"]["timm"] == import_timm().__version__
    told = json.loads((again / "config.json").read_bytes())
    assert told["architecture"] == "test_resnet"
    assert told["preprocessing"]["mean"] == [0.485, 0.456, 0.406]
    assert told["model"] == Timm(architecture="test_resnet").model_dump(mode="json")


@pytest.mark.parametrize("fit", ["stretch", "crop"])
def test_transformers_prepares_images_and_names_classes_by_itself(fit: str, tmp_path: Path):
    folder = delivered(tmp_path, RESNET, data={"image_size": 32, "fit": fit})
    transformers = import_transformers()
    prepare = transformers.AutoImageProcessor.from_pretrained(folder)
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    given = prepare(Image.fromarray(pixels), return_tensors="pt")["pixel_values"]
    told = json.loads((folder / "config.json").read_bytes())["stillhouse"]["preprocessing"]
    mean, std = (torch.tensor(told[name]).view(-1, 1, 1) for name in ("mean", "std"))
    inputs = (torch.from_numpy(pixels).permute(2, 0, 1) / 255 - mean) / std
    torch.testing.assert_close(given[0], inputs)
    classify = transformers.pipeline("image-classification", model=str(folder))
    answers = {one["label"]: one["score"] for one in classify(Image.fromarray(pixels), top_k=3)}
    shares = predict(load_student(folder), inputs[None]).softmax(1)[0]
    assert answers == pytest.approx(dict(zip(NAMES, shares.tolist(), strict=True)), abs=1e-5)


def test_what_is_no_usual_preparation_is_not_written_as_one(tmp_path: Path):
    folder = delivered(tmp_path, RESNET, data={"image_size": [32, 40], "fit": "crop"})
    assert not (folder / "preprocessor_config.json").exists()
