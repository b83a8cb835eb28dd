"""Teachers that people have trained by loops of their own, as their libraries write them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn

from kdcore.datasets.image_folder import ImageFolder
from kdcore.vision import import_timm, import_transformers

CLASSES = 4


def write_timm(file: Path, data: ImageFolder) -> None:
    """Write the checkpoint of a network of timm."""
    torch.manual_seed(0)
    network = import_timm().create_model("test_resnet", num_classes=CLASSES, in_chans=1)
    _train(network, data, file.parent, steps=30)
    save_file(network.state_dict(), file)


def write_huggingface(file: Path, data: ImageFolder) -> None:
    """Write the folder of a network of transformers, as a zip."""
    torch.manual_seed(0)
    transformers = import_transformers()
    config = transformers.ResNetConfig(
        num_channels=1,
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        num_labels=CLASSES,
    )
    network = transformers.ResNetForImageClassification(config)
    _train(network, data, file.parent, steps=200)
    folder = file.with_suffix("")
    network.save_pretrained(folder)
    with zipfile.ZipFile(file, "w") as archive:
        for one in sorted(folder.iterdir()):
            archive.write(one, one.name)


def _train(network: nn.Module, data: ImageFolder, inputs: Path, *, steps: int) -> None:
    train = data.read_for("classification", inputs).train
    optimizer = torch.optim.Adam(network.parameters(), 0.004)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(_logits(network(train.inputs)), train.labels).backward()
        optimizer.step()
    network.eval()


def _logits(said: Any) -> Tensor:
    return said if isinstance(said, Tensor) else said.logits
