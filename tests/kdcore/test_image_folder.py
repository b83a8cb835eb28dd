"""Folders and archives of images become samples: sorted, upright, resized, normalised."""

import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from digit_images import digits, packed, parts, picture, unpacked
from PIL import Image
from pydantic import ValidationError
from recipes import tiny

from kdcore import distill
from kdcore.corpus import load_corpus
from kdcore.datasets.image_folder import ImageFolder
from kdcore.errors import DataError
from kdcore.events import VerdictReached, Warned

NAMES = ("one", "two", "zero")


def spec(**options: Any) -> ImageFolder:
    return ImageFolder.model_validate({"path": "own", "image_size": 8, "channels": 1} | options)


def colours(height: int, width: int, kind: str = "PNG", **options: Any) -> bytes:
    """Return an image whose upper left corner alone is red, on blue."""
    pixels = np.full((height, width, 3), (0, 0, 255), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def test_a_folder_and_its_archive_are_the_same_data(tmp_path):
    unpacked(tmp_path / "own", parts())
    packed(tmp_path / "own.zip", parts())
    packed(tmp_path / "wrapped.zip", {f"my digits/v1/{name}": one for name, one in parts().items()})
    sources = [spec(path=path).read(tmp_path) for path in ("own", "own.zip", "wrapped.zip")]
    for source in sources:
        assert source.class_names == NAMES
        assert source.num_classes == 3
        assert source.validation is None
        assert source.warnings == ()
        assert tuple(source.train.inputs.shape) == (18, 1, 8, 8)
        assert source.train.labels.tolist() == [0] * 6 + [1] * 6 + [2] * 6
        assert torch.equal(source.train.inputs, sources[0].train.inputs)
        assert torch.equal(source.test.inputs, sources[0].test.inputs)
    pixels = np.asarray(Image.open(io.BytesIO(parts()["train/zero/0.png"]))) / 255
    first = sorted(name for name in parts() if name.startswith("train/zero")).index(
        "train/zero/0.png"
    )
    assert np.allclose(sources[0].train.inputs[12 + first, 0], pixels, atol=1e-6)


@pytest.mark.parametrize("name", ["val", "validation"])
def test_a_validation_folder_and_unlabelled_images_are_taken(tmp_path, name):
    files = parts() | digits(2, start=20, under=f"{name}/") | {"train/unlabelled/x.png": picture(7)}
    unpacked(tmp_path / "own", files)
    source = spec().read(tmp_path)
    assert source.class_names == NAMES
    assert source.validation is not None
    assert source.validation.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert source.train.labels.tolist().count(-1) == 1
    assert load_corpus(spec(), tmp_path, torch.device("cpu")).num_classes == 3


def test_unlabelled_images_may_lie_beside_the_parts_and_parts_may_be_spelt_with_capitals(tmp_path):
    files = {name.replace("t", "T", 1): one for name, one in parts().items()}
    files |= {f"Unlabelled/{place}.png": picture(place) for place in range(30, 34)}
    files |= {"Unlabelled/more/40.png": picture(40)}
    packed(tmp_path / "own.zip", files)
    source = spec(path="own.zip").read(tmp_path)
    assert source.class_names == NAMES
    assert source.train.labels.tolist().count(-1) == 5
    assert len(source.test.labels) == 9
    assert source.warnings == ()


def test_one_tree_is_split_by_class_and_seed_and_stays_as_it_is_when_images_come_in(tmp_path):
    unpacked(tmp_path / "own", digits(10))
    first, again = spec().read(tmp_path), spec().read(tmp_path)
    assert first.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(first.test.inputs, again.test.inputs)
    other = spec(split_seed=1).read(tmp_path)
    assert not torch.equal(first.test.inputs, other.test.inputs)
    packed(tmp_path / "own.zip", {f"around/{name}": one for name, one in digits(10).items()})
    assert torch.equal(spec(path="own.zip").read(tmp_path).test.inputs, first.test.inputs)
    half = spec(test_share=0.5).read(tmp_path)
    assert len(half.test.labels) == 15
    kept = {one.numpy().tobytes() for one in half.test.inputs}
    assert {one.numpy().tobytes() for one in first.test.inputs} <= kept


def test_classes_may_be_called_train_or_test(tmp_path):
    names = {"zero": "bus", "one": "train"}
    files = {
        f"{names[name.split('/')[0]]}/{name}": one for name, one in digits(4, classes=2).items()
    }
    unpacked(tmp_path / "own", files)
    assert spec().read(tmp_path).class_names == ("bus", "train")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
    ],
)
def test_every_format_is_read_in_colour_and_in_grey(tmp_path, kind, options):
    files = digits(4) | {"zero/a.img": colours(16, 16, kind, **options)}
    unpacked(tmp_path / "own", files)
    colour = spec(channels=3, image_size=16, test_share=0.01).read(tmp_path)
    image = next(
        one
        for part in (colour.train, colour.test)
        for one in part.inputs
        if not torch.allclose(one[0], one[2], atol=0.1)
    )
    for corner, expected in (((2, 2), (1, 0, 0)), ((13, 13), (0, 0, 1))):
        found = image[:, corner[0], corner[1]]
        assert torch.allclose(found, torch.tensor(expected).float(), atol=0.05)
    assert tuple(spec().read(tmp_path).train.inputs.shape[1:]) == (1, 8, 8)


def one_image(tmp_path, content: bytes, **options: Any) -> torch.Tensor:
    files = parts() | {"train/zero/-first.png": content}
    unpacked(tmp_path / "own", files)
    source = spec(**options).read(tmp_path)
    return source.train.inputs[source.train.labels == 2][0]


def test_images_are_turned_as_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    image = one_image(tmp_path, colours(8, 8, exif=exif), channels=3)
    assert image[:, 1, 6].tolist() == [1, 0, 0]
    assert image[:, 1, 1].tolist() == [0, 0, 1]


def test_reduction_averages_and_the_way_of_fitting_is_chosen(tmp_path):
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 200
    stream = io.BytesIO()
    Image.fromarray(stripes).save(stream, "PNG")
    image = one_image(tmp_path, stream.getvalue())
    assert float(image.min()) > 0.35
    assert float(image.max()) < 0.43
    wide = colours(8, 32)
    assert one_image(tmp_path, wide, channels=3)[:, 1, 1].tolist() == [1, 0, 0]
    cropped = one_image(tmp_path, wide, channels=3, fit="crop")
    assert cropped[:, 1, 1].tolist() == [1, 0, 0]
    assert cropped[:, 1, 6].tolist() == [0, 0, 1]
    assert tuple(one_image(tmp_path, wide, image_size=[4, 6]).shape) == (1, 4, 6)


def test_depth_and_transparency_become_plain_bytes(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8), 0x8000, np.uint16)).save(stream, "PNG")
    assert torch.allclose(one_image(tmp_path, stream.getvalue()), torch.tensor(128 / 255))
    stream = io.BytesIO()
    Image.new("RGBA", (8, 8), (9, 9, 9, 0)).save(stream, "PNG")
    assert one_image(tmp_path, stream.getvalue()).min() == 1
    stream = io.BytesIO()
    frames = [Image.new("L", (8, 8), shade) for shade in (255, 0)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert one_image(tmp_path, stream.getvalue()).min() == 1


def test_normalisation_is_applied_delivered_and_black_comes_in_beside_the_image(tmp_path):
    unpacked(tmp_path / "own", parts())
    plain = spec().read(tmp_path)
    own = spec(normalize={"mean": [0.25], "std": [0.5]}).read(tmp_path)
    assert torch.allclose(own.train.inputs, (plain.train.inputs - 0.25) / 0.5)
    assert own.black == (-0.5,)
    assert own.preprocessing["mean"] == [0.25]
    known = spec(channels=3, normalize="imagenet").read(tmp_path)
    assert known.preprocessing["std"] == [0.229, 0.224, 0.225]
    assert len(known.black) == 3
    with pytest.raises(ValidationError, match=r"3 values in normalize for 1 channels"):
        spec(normalize="imagenet")


def test_broken_images_are_named_and_left_out_on_request(tmp_path):
    broken = {f"train/zero/b{number:02}.png": b"no image" for number in range(12)}
    broken["train/one/cut.png"] = colours(64, 64)[:100]
    unpacked(tmp_path / "own", parts() | broken)
    with pytest.raises(DataError, match=r"found 13 broken images: 'train/one/cut\.png' is") as told:
        spec().read(tmp_path)
    assert "'train/zero/b08.png' is no image in PNG, JPEG" in str(told.value)
    assert "b09" not in str(told.value)
    assert ", and 3 more" in str(told.value)
    assert "skip_broken" in str(told.value.hint)
    source = spec(skip_broken=True).read(tmp_path)
    assert len(source.train.labels) == 18
    assert torch.equal(source.train.inputs.isfinite().all(), torch.tensor(data=True))
    (warned,) = source.warnings
    assert warned.code == "broken_images_left_out"
    assert "cut.png" in warned.message


def test_what_lies_beside_the_classes_is_told(tmp_path):
    unpacked(tmp_path / "own", parts() | {"README.txt": b"hello", ".DS_Store": b"x"})
    (warned,) = spec().read(tmp_path).warnings
    assert warned.code == "files_beside_classes"
    assert "README.txt" in warned.message
    assert "DS_Store" not in warned.message


def test_a_small_archive_is_distilled_and_the_student_knows_its_classes(tmp_path):
    packed(tmp_path / "own.zip", digits(40) | {"notes.txt": b"hello"})
    data = {"name": "image_folder", "path": "own.zip", "image_size": 8, "channels": 1}
    recipe = tiny()
    recipe = recipe.model_copy(
        update={"data": ImageFolder.model_validate(data | {"validation_size": 12})}
    )
    events = list(distill(recipe, tmp_path / "out", inputs=tmp_path))
    assert any(isinstance(event, VerdictReached) for event in events)
    codes = [event.code for event in events if isinstance(event, Warned)]
    assert codes[0] == "files_beside_classes"
    (config,) = (tmp_path / "out").rglob("config.json")
    told = json.loads(config.read_text())
    assert told["class_names"] == list(NAMES)
    assert told["preprocessing"]["kind"] == "image"
    assert told["input_shape"] == [1, 8, 8]
