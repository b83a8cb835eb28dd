"""Open a delivered student again."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter
from torch import nn

from kdcore.model import Model
from kdcore.network import build, load_weights
from kdcore.recipe import AnyModel


def load_student(folder: Path) -> nn.Sequential:
    """Build the network that `config.json` describes and read `student.safetensors`.

    Raises:
        WeightsError: the weights do not fit the description.
    """
    config = json.loads((folder / "config.json").read_bytes())
    model: Model = TypeAdapter[Model](AnyModel).validate_python(config["model"])
    network = build(model, tuple(config["input_shape"]), config["num_classes"], seed=0)
    load_weights(network, folder / "student.safetensors", "student.safetensors")
    return network.eval()
