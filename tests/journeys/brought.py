"""What people bring: files of theirs, and specs that name each by the name that it has there."""

from __future__ import annotations

import json
import runpy
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from brought_teachers import write_huggingface, write_timm
from digit_images import digits, packed
from running import ROOT
from sklearn.datasets import load_digits

from kdcore.datasets.image_folder import ImageFolder

EXAMPLES = ROOT / "examples"
TEST_FROM = 1297
QUICK = {"max_steps": 80, "optim": "adamw", "learning_rate": 0.004}
_BUNCH = cast("Any", load_digits())
IMAGES = (_BUNCH.images / 16).astype(np.float32)


@dataclass(frozen=True)
class Journey:
    """A spec, and what it takes."""

    spec: dict[str, Any]
    files: Mapping[str, str]
    """The kind of each file that is uploaded, by name."""
    more_than: float
    """A score that is chance, or nothing learned."""
    labelled: bool = True
    """Whether any sample has a label; where none has, the teacher's answers are the measure."""


def _spec(teacher: dict[str, Any], student: dict[str, Any], data: dict[str, Any], **more: Any):
    pair = {"teacher": {"model": teacher}, "student": {"model": student}, "data": data}
    return {**pair, "method": "kd", "training": QUICK, "seeds": [0], **more}


def mlp(*hidden: int) -> dict[str, Any]:
    """Return a network of linear layers."""
    return {"name": "mlp", "hidden": list(hidden)}


PHOTOS = {"name": "image_folder", "path": "photos.zip", "image_size": 16, "channels": 1}
TIMM = {"name": "timm", "architecture": "test_resnet"}
RESNET: dict[str, Any] = {"model_type": "resnet", "embedding_size": 8, "layer_type": "basic"}
TEXTS: dict[str, Any] = yaml.safe_load((EXAMPLES / "texts.yaml").read_text())
LABELS: dict[str, Any] = yaml.safe_load((EXAMPLES / "digit_image_labels.yaml").read_text())
UNPACKED = {f"{name}.zip": name for name in ("saved", "train_shards", "test_shards")}
"""The folders in the zips that a worker unpacks."""
JOURNEYS = {
    "a timm pair on a zip of images": Journey(
        _spec(
            TIMM,
            {"name": "timm", "architecture": "test_efficientnet"},
            PHOTOS,
            training=QUICK | {"max_steps": 60, "per_device_train_batch_size": 32},
        ),
        {"photos.zip": "dataset"},
        more_than=0.5,
    ),
    "the weights of a timm teacher": Journey(
        _spec(TIMM, mlp(16), PHOTOS) | {"teacher": {"model": TIMM, "weights": "timm.safetensors"}},
        {"timm.safetensors": "model", "photos.zip": "dataset"},
        more_than=0.5,
    ),
    "the folder of a Hugging Face teacher": Journey(
        _spec({"name": "huggingface", "path": "resnet.zip"}, mlp(16), PHOTOS),
        {"resnet.zip": "model", "photos.zip": "dataset"},
        more_than=0.5,
    ),
    "text encoders on JSON lines and a tokenizer": Journey(
        TEXTS | {"training": QUICK | {"max_steps": 120}, "seeds": [0]},
        {"messages.jsonl": "dataset", "tokenizer.json": "dataset"},
        more_than=0.5,
    ),
    "an ONNX file as a teacher": Journey(
        _spec(
            {"name": "onnx", "path": "teacher.onnx"},
            mlp(16),
            {"name": "arrays", "path": "digits.npz"},
        ),
        {"teacher.onnx": "model", "digits.npz": "dataset"},
        more_than=0.5,
    ),
    "a table in Parquet": Journey(
        _spec(
            mlp(32),
            mlp(8),
            {"name": "table", "path": "rows.parquet", "label": "digit", "split_column": "part"},
            export=["onnx", "exported"],
        ),
        {"rows.parquet": "dataset"},
        more_than=0.4,
    ),
    "images that Hugging Face's datasets saved, in a zip": Journey(
        _spec(
            mlp(32),
            mlp(8),
            {"name": "huggingface_images", "path": "saved.zip", "image_size": 8, "channels": 1},
        ),
        {"saved.zip": "dataset"},
        more_than=0.3,
    ),
    "WebDataset shards in zips": Journey(
        _spec(
            mlp(32),
            mlp(8),
            {
                "name": "webdataset",
                "path": "train_shards.zip",
                "test_path": "test_shards.zip",
                "image_size": 8,
                "channels": 1,
            },
        ),
        {"train_shards.zip": "dataset", "test_shards.zip": "dataset"},
        more_than=0.3,
    ),
    "images with several labels": Journey(
        LABELS | {"training": QUICK, "seeds": [0], "gates": []},
        {"digit_heap.zip": "dataset", "digit_heap.csv": "dataset"},
        more_than=0.6,
    ),
    "images of which two thirds have no class": Journey(
        _spec(
            mlp(32),
            {
                "name": "huggingface_config",
                "config": RESNET | {"hidden_sizes": [8, 16], "depths": [1, 1]},
            },
            {"name": "image_folder", "path": "digit_images.zip", "image_size": 8, "channels": 1},
        ),
        {"digit_images.zip": "dataset"},
        more_than=0.3,
    ),
    "a student of torchvision": Journey(
        _spec(
            mlp(32),
            {"name": "torchvision", "architecture": "shufflenet_v2_x0_5"},
            {"name": "image_folder", "path": "photos.zip", "image_size": 32, "channels": 3},
            training=QUICK | {"max_steps": 60, "per_device_train_batch_size": 32},
        ),
        {"photos.zip": "dataset"},
        more_than=0.5,
    ),
    "images without any label": Journey(
        _spec(
            {"name": "onnx", "path": "digit_network.onnx"},
            mlp(32),
            {"name": "arrays", "path": "unlabelled.npz", "num_classes": 10},
            baseline=False,
        ),
        {"digit_network.onnx": "model", "unlabelled.npz": "dataset"},
        more_than=0.5,
        labelled=False,
    ),
}


def bring(folder: Path) -> None:
    """Write all files of all journeys."""
    packed(
        folder / "photos.zip",
        digits(80, classes=4, under="train/") | digits(40, classes=4, start=80, under="test/"),
    )
    photos = ImageFolder.model_validate(PHOTOS)
    write_timm(folder / "timm.safetensors", photos)
    write_huggingface(folder / "resnet.zip", photos)
    runpy.run_path(str(EXAMPLES / "texts.py"))["main"](folder)
    digit_files = runpy.run_path(str(EXAMPLES / "digit_files.py"))
    digit_files["write_folders"](folder / "digit_images.zip")
    digit_files["write_heap"](folder / "digit_heap.zip", folder / "digit_heap.csv")
    digit_files["write_saved"](folder / "saved")
    digit_files["write_shards"](folder / "shards")
    for part in ("train", "test"):
        shards = folder / f"{part}_shards"
        shards.mkdir()
        for shard in (folder / "shards").glob(f"{part}-*.tar"):
            shard.rename(shards / shard.name)
        shutil.make_archive(str(shards), "zip", shards)
    shutil.make_archive(str(folder / "saved"), "zip", folder, "saved")
    _write_arrays(folder / "digits.npz")
    _write_teacher(folder / "teacher.onnx")
    runpy.run_path(str(EXAMPLES / "unlabelled.py"))["main"](folder)
    np.savez(
        folder / "unlabelled.npz", x_train=IMAGES[:TEST_FROM, None], x_test=IMAGES[TEST_FROM:, None]
    )
    pq.write_table(pa.Table.from_pylist(_rows()), folder / "rows.parquet")


def _write_arrays(file: Path) -> None:
    parts = {"train": slice(TEST_FROM), "test": slice(TEST_FROM, None)}
    images = {f"x_{part}": IMAGES[where, None] for part, where in parts.items()}
    labels = {f"y_{part}": _BUNCH.target[where] for part, where in parts.items()}
    np.savez(file, **images, **labels)


def _write_teacher(file: Path) -> None:
    """Train a network by a loop of somebody's own, and write it as PyTorch does."""
    torch.manual_seed(0)
    layers = torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    network = torch.nn.Sequential(*layers)
    images = torch.from_numpy(IMAGES[:TEST_FROM, None])
    labels = torch.from_numpy(_BUNCH.target[:TEST_FROM])
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's exporter warns of parts of PyTorch
        torch.onnx.export(
            network.eval(),
            (images[:2],),
            file,
            input_names=["pixels"],
            output_names=["scores"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )


def _rows() -> list[dict[str, Any]]:
    """Return digits as rows: sums of pixels, a text, the class and the part."""
    return [
        {
            **{f"row{place}": float(one) for place, one in enumerate(image.sum(1))},
            **{f"column{place}": float(one) for place, one in enumerate(image.sum(0))},
            "shape": "wide" if image[:, 1].sum() > 0.5 else "narrow",
            "digit": int(label),
            "part": _part(place),
        }
        for place, (image, label) in enumerate(zip(IMAGES, _BUNCH.target, strict=True))
    ]


def _part(place: int) -> str:
    return "train" if place < TEST_FROM else "test"


def test_texts(folder: Path) -> list[str]:
    """Return the messages for testing, in their order."""
    rows = map(json.loads, (folder / "messages.jsonl").read_text().splitlines())
    return [row["text"] for row in rows if row["part"] == "test"]


def with_references(value: Any, references: Mapping[str, str]) -> Any:
    """Return a spec with what files are known as in the place of their names."""
    match value:
        case dict():
            return {key: with_references(one, references) for key, one in value.items()}
        case list():
            return [with_references(one, references) for one in value]
        case str():
            return references.get(value, value)
        case _:
            return value
