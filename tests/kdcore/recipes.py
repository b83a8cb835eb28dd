"""Small recipes that train in well under a second."""

from copy import deepcopy
from typing import Any

from kdcore.recipe import Recipe

TINY: dict[str, Any] = {
    "teacher": {"model": {"name": "mlp", "hidden": [24]}},
    "student": {"model": {"name": "mlp", "hidden": [4]}},
    "data": {"name": "synthetic", "labelled": 32, "validation_size": 32, "noise": 3.0},
    "training": {
        "max_steps": 40,
        "per_device_train_batch_size": 16,
        "eval_steps": 10,
        "save_steps": 15,
    },
    "seeds": [0],
    "export": ["safetensors"],
}


def tiny(**changes: Any) -> Recipe:
    """Return the tiny recipe with some of its blocks merged with `changes`."""
    document = deepcopy(TINY)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict):
            document[key].update(value)
        else:
            document[key] = value
    return Recipe.model_validate(document)
