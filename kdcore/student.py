"""Open a delivered student again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from pydantic import TypeAdapter
from torch import nn

from kdcore.entry import OneOf, discover
from kdcore.model import Model
from kdcore.models import MODELS
from kdcore.network import OURS, build, load_weights

_DELIVERED: TypeAdapter[Model] = TypeAdapter(
    Annotated[Model, OneOf(MODELS | discover("kdcore.objectives", contract=Model))]
)
"""The models of recipes, and those that objectives make of them."""


def load_student(folder: Path) -> nn.Module:
    """Build the network that `config.json` describes and read `student.safetensors`.

    Raises:
        WeightsError: the weights do not fit the description.
    """
    config = json.loads((folder / "config.json").read_bytes())
    config = config.get(OURS, config)
    model: Model = _DELIVERED.validate_python(config["model"])
    network = build(model, tuple(config["input_shape"]), config["num_classes"], seed=0)
    load_weights(network, folder / "student.safetensors", "student.safetensors")
    return network.eval()
