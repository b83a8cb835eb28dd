"""Small recipes that train in well under a second."""

from copy import deepcopy
from typing import Any

from kdcore.catalog import METHODS, describe
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

IMAGES: dict[str, Any] = {
    "teacher": {"model": {"name": "plain_cnn", "stages": [[6], [8]], "hidden": []}},
    "student": {"model": {"name": "plain_cnn", "stages": [[3], [4]], "hidden": []}},
    "data": {
        "name": "synthetic",
        "shape": [1, 8, 8],
        "labelled": 48,
        "train_size": 96,
        "test_size": 32,
        "validation_size": 16,
        "noise": 3.0,
    },
    "training": {"max_steps": 12, "eval_steps": 4, "save_steps": 5},
}
"""Two convolutional networks, for what compares feature maps."""


def encoder(layers: int, width: int, dropout: float = 0.1) -> dict[str, Any]:
    """Return a text encoder with two attention heads that nobody has trained."""
    sizes = {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": 2 * width}
    dropouts = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    config = {"model_type": "bert", "num_attention_heads": 2, "max_position_embeddings": 16}
    return {"name": "huggingface_config", "config": {**config, **sizes, **dropouts}}


TEXTS: dict[str, Any] = {
    "teacher": {"model": encoder(4, 16)},
    "student": {"model": encoder(1, 8)},
    "data": {
        "name": "synthetic_text",
        "length": 10,
        "vocabulary": 30,
        "labelled": 48,
        "train_size": 96,
        "test_size": 32,
        "validation_size": 16,
    },
    "training": IMAGES["training"],
}
"""Two text encoders, for what compares tokens."""
OPTIONS: dict[str, dict[str, Any]] = {
    "takd": {"assistants": [{"name": "plain_cnn", "stages": [[4], [6]], "hidden": []}]},
    "dgkd": {
        "assistants": [
            {"name": "plain_cnn", "stages": [[5], [6]], "hidden": []},
            {"name": "plain_cnn", "stages": [[4], [6]], "hidden": []},
        ]
    },
    "maskd": {"mask_steps": 8},
}
"""What a method cannot do without, or not quickly."""


def small_method(name: str) -> dict[str, Any]:
    """Return a method with the options that a quick test needs."""
    return {"name": name, **OPTIONS.get(name, {})}


def suited(name: str) -> dict[str, Any]:
    """Return the networks and data that a method is for: images, unless it compares tokens."""
    return TEXTS if describe("methods", METHODS[name])["needs_tokens"] else IMAGES


def small_path(name: str, networks: dict[str, Any]) -> dict[str, Any]:
    """Return a path with the options that a quick test of such networks needs."""
    path = small_method(name)
    if "assistants" in path and networks is TEXTS:
        path["assistants"] = [encoder(2, width) for width in (12, 8)[: len(path["assistants"])]]
    return path


def tiny(**changes: Any) -> Recipe:
    """Return the tiny recipe with some of its blocks merged with `changes`."""
    document = deepcopy(TINY)
    for key, value in changes.items():
        before = document.get(key)
        same = isinstance(value, dict) and isinstance(before, dict)
        if same and value.get("name", before.get("name")) == before.get("name"):
            before.update(value)
        else:
            document[key] = value
    return Recipe.model_validate(document)


def shared_recipe(method: str, processes: int) -> Recipe:
    """Return a recipe whose steps are of 16 samples, however many processes share them."""
    training = {"max_steps": 6, "per_device_train_batch_size": 16 // processes}
    # Slow, so that rounding stays rounding: what differs in the last bits drifts apart in time.
    training |= {"learning_rate": 1e-3, "lr_scheduler_type": "constant"}
    runtime = {"device": "cpu", "precision": "float32", "processes": processes}
    networks = suited(method)
    if networks is TEXTS:  # what is dropped is drawn by each process
        pair = {"teacher": encoder(4, 16, 0.0), "student": encoder(1, 8, 0.0)}
        networks = {**TEXTS, **{role: {"model": model} for role, model in pair.items()}}
    changes = {**networks, "method": small_method(method), "runtime": runtime}
    return tiny(**changes | {"training": training})
