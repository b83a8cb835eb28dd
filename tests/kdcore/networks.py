"""Networks that tests build: every entry with its defaults, and all settings with a name."""

import torch
from torch import nn

from kdcore.model import Model
from kdcore.models import MODELS

CIFAR, DIGITS = (3, 32, 32), (1, 8, 8)
KNOWN = {
    label: entry.model_validate(fields)
    for entry in MODELS.values()
    for label, fields in entry.known.items()
}
OURS = {name: entry for name, entry in MODELS.items() if not entry.foreign}
"""Models that tell by arithmetic what laws hold against the network."""
MANY = {name: entry() for name, entry in OURS.items()} | KNOWN


def on_meta(model: Model, input_shape: tuple[int, ...], num_classes: int = 100) -> nn.Sequential:
    """Return a network that has shapes, but no numbers."""
    with torch.device("meta"):
        return model.build(input_shape, num_classes)
