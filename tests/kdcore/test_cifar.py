"""CIFAR's binary version: read byte for byte, and shown as the papers show it."""

import numpy as np
import pytest
import torch
from cifar_records import (
    ARCHIVES,
    BOTH,
    CLASSES,
    FOLDERS,
    MEAN,
    STD,
    Files,
    inside,
    packed,
    records,
    small,
    unpacked,
)

from kdcore.corpus import load_corpus
from kdcore.dataset import Augmentation, Dataset
from kdcore.datasets.arrays import Arrays
from kdcore.datasets.cifar10 import Cifar10
from kdcore.datasets.cifar100 import Cifar100
from kdcore.datasets.digits import Digits
from kdcore.datasets.synthetic import Synthetic
from kdcore.events import VerdictReached
from kdcore.lesson import Lesson, draw
from kdcore.plan import plan_stages, training_set
from kdcore.recipe import Recipe
from kdcore.story import distill


def slowly(kind: type[Dataset], files: Files, names: list[str]) -> tuple[torch.Tensor, list[int]]:
    """Read records one byte at a time, as the format's page describes them."""
    images: list[list[float]] = []
    labels: list[int] = []
    mean, std = np.float32(MEAN[kind]), np.float32(STD[kind])
    for name in names:
        rest = files[name]
        while rest:
            if kind is Cifar100:
                rest = rest[1:]  # the coarse label
            labels.append(rest[0])
            image = []
            for place in range(3072):
                value = np.float32(rest[1 + place]) / np.float32(255)
                image.append(float((value - mean[place // 1024]) / std[place // 1024]))
            images.append(image)
            rest = rest[3073:]
    return torch.tensor(images).view(-1, 3, 32, 32), labels


@BOTH
def test_images_and_labels_are_those_of_a_reader_that_goes_byte_by_byte(tmp_path, kind):
    files = small(kind, each=2)
    unpacked(tmp_path / FOLDERS[kind], files)
    source = kind().read(tmp_path)
    *train, test = files
    for part, names in ((source.train, train), (source.test, [test])):
        images, labels = slowly(kind, files, names)
        assert part.inputs.dtype == torch.float32
        assert torch.equal(part.inputs, images)  # to the last bit
        assert part.labels.dtype == torch.int64
        assert part.labels.tolist() == labels
    assert source.num_classes == CLASSES[kind]


@BOTH
def test_a_folder_its_parent_and_the_archive_give_the_same(tmp_path, kind):
    files = small(kind)
    folder, archive = FOLDERS[kind], ARCHIVES[kind]
    unpacked(tmp_path / "a" / folder, files)
    (tmp_path / "b").mkdir()
    packed(tmp_path / "b" / archive, reversed(inside(kind, files)))
    packed(tmp_path / "renamed.tgz", [(f"./{name}", bytes_) for name, bytes_ in files.items()])
    first = kind(path=f"a/{folder}").read(tmp_path)
    for path in ("a", "b", f"b/{archive}", "renamed.tgz"):
        other = kind(path=path).read(tmp_path)
        for part in ("train", "test"):
            assert torch.equal(getattr(other, part).inputs, getattr(first, part).inputs)
            assert torch.equal(getattr(other, part).labels, getattr(first, part).labels)
    assert not list(tmp_path.rglob("*/readme.html"))  # nothing is unpacked
    assert torch.equal(kind().read(tmp_path / "b").train.inputs, first.train.inputs)


@BOTH
def test_without_normalisation_bytes_are_divided_by_255_and_black_is_zero(tmp_path, kind):
    unpacked(tmp_path, small(kind))
    plain, normal = kind(normalize=False).read(tmp_path), kind().read(tmp_path)
    assert (float(plain.train.inputs.min()), float(plain.train.inputs.max())) == (0, 1)
    assert plain.black == (0.0,)
    expected = [-mean / std for mean, std in zip(MEAN[kind], STD[kind], strict=True)]
    assert normal.black == pytest.approx(expected, rel=1e-6)
    # Black as it comes out of the files, to the last bit.
    dark = plain.train.inputs == 0
    for channel, value in enumerate(normal.black):
        seen = normal.train.inputs[:, channel][dark[:, channel]]
        assert len(seen)
        assert set(seen.tolist()) == {value}


@BOTH
def test_the_papers_augmentation_is_the_default_and_can_be_taken_off(kind):
    assert kind().augmentation == Augmentation(crop_padding=4, horizontal_flip=True)
    plain = kind.model_validate({"augmentation": {}})
    assert plain.augmentation == Augmentation(crop_padding=0, horizontal_flip=False)


@pytest.mark.parametrize(
    "dataset",
    [Cifar10(), Cifar100(), Digits(), Synthetic(), Synthetic(shape=[3, 4, 5], num_classes=7)],
)
def test_the_form_that_is_told_before_reading_is_the_one_that_is_read(tmp_path, dataset):
    for kind, folder in FOLDERS.items():
        unpacked(tmp_path / folder, small(kind))
    source = dataset.read(tmp_path)
    form = (tuple(source.train.inputs.shape[1:]), source.num_classes)
    assert dataset.form() == form
    assert tuple(source.test.inputs.shape[1:]) == form[0]


def test_the_form_of_arrays_is_unknown_before_reading():
    assert Arrays(path="data.npz").form() is None


def recipe_on(kind: type[Dataset], **changes: object) -> Recipe:
    document = {
        "teacher": {"model": {"name": "plain_cnn", "stages": [[4], [8]], "hidden": []}},
        "student": {"model": {"name": "plain_cnn", "stages": [[2], [2]], "hidden": []}},
        "data": {"name": kind.model_fields["name"].default, "validation_size": 5},
        "training": {"max_steps": 6, "per_device_train_batch_size": 8},
        "seeds": [0],
        "export": ["safetensors"],
    }
    return Recipe.model_validate(document | changes)


def test_a_batch_shows_black_and_not_the_mean_where_an_image_was_shifted(tmp_path):
    files = {name: b"\1" + bytes([255]) * 3072 for name in small(Cifar10)}  # white
    files["data_batch_1.bin"] += b"\2" + bytes([255]) * 3072
    unpacked(tmp_path, files)
    recipe = recipe_on(Cifar10, data={"name": "cifar10"}, training={"max_steps": 100})
    corpus = load_corpus(recipe.data, tmp_path, torch.device("cpu"))
    (stage,) = (stage for stage in plan_stages(recipe, corpus) if stage.role == "teacher")
    labels, pool = training_set(stage, recipe, corpus, corpus.train.labels)
    lesson = Lesson(
        corpus=corpus,
        labels=labels,
        pool=pool,
        teachers=(),
        temperature=recipe.temperature,
        weighting=recipe.weighting,
        augmentation=recipe.data.augmentation,
        curriculum=recipe.curriculum,
    )
    black, white = (
        {tuple(((value - np.float32(MEAN[Cifar10])) / np.float32(STD[Cifar10])).tolist())}
        for value in (0, 1)
    )
    views = torch.cat([draw(step, stage, lesson).inputs for step in range(20)])
    pixels = {tuple(pixel) for pixel in views.movedim(1, -1).reshape(-1, 3).tolist()}
    assert pixels == black | white


@pytest.mark.parametrize("kind", [Cifar10, Cifar100])
def test_a_run_on_cifar_files_comes_to_a_verdict(tmp_path, kind):
    files = small(kind, each=8)
    if kind is Cifar10:
        unpacked(tmp_path / "inputs" / FOLDERS[kind], files)
    else:
        files = {name: records(kind, range(100), seed) for seed, name in enumerate(files)}
        (tmp_path / "inputs").mkdir()
        packed(tmp_path / "inputs" / ARCHIVES[kind], inside(kind, files))
    events = list(distill(recipe_on(kind), tmp_path / "out", inputs=tmp_path / "inputs"))
    assert any(isinstance(event, VerdictReached) for event in events)
