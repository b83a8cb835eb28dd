"""Open a delivered student again."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from kdcore.delivered import read_delivered
from kdcore.models import MODELS
from kdcore.network import build
from kdcore.weights import load_weights


def load_student(folder: Path, file: str = "student") -> nn.Module:
    """Build the network that `config.json` describes and read `student.safetensors`.

    `file` may be `teacher` or `assistant-1` as well, where these were delivered.

    Raises:
        RecipeError: the folder does not describe such a network.
        WeightsError: the weights do not fit the description.
    """
    found = read_delivered(folder, file, shown=folder.name, models=MODELS)
    network = build(found.model, found.input_shape, found.num_classes, seed=0)
    load_weights(network, folder / f"{file}.safetensors", f"{file}.safetensors")
    return network.eval()
