"""Recipes that are stopped and go on, and what is compared then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recipes import IMAGES, OPTIONS, small_method

from kdcore.events import Event, Metrics

CNN = {
    "teacher": {"model": {"name": "plain_cnn", "stages": [[6]], "hidden": []}},
    "student": {"model": {"name": "plain_cnn", "stages": [[3]], "hidden": []}},
    "data": {
        "name": "synthetic",
        "shape": [1, 6, 6],
        "train_size": 96,
        "validation_size": 16,
        "augmentation": {"crop_padding": 1, "horizontal_flip": True},
    },
}
_MIXES = {"mixup": 0.2, "cutmix": 1.0, "mixup_prob": 0.8, "horizontal_flip": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "adamw": {"training": {"optim": "adamw", "learning_rate": 0.01, "warmup_steps": 5}},
    "best": {"training": {"load_best_model_at_end": True, "max_grad_norm": 1.0}},
    "takd": {"method": {"name": "takd", "assistants": [{"name": "mlp", "hidden": [12]}]}},
    "averaged weights": {"training": {"ema_decay": 0.9, "load_best_model_at_end": True}},
    "dkd with batch norm and augmentation": {**CNN, "method": {"name": "dkd", "warmup_epochs": 3}},
    "mixed images, fresh": {**CNN, "data": {**CNN["data"], "augmentation": _MIXES}},
    "mixed images, stored": {
        **CNN,
        "data": {**CNN["data"], "augmentation": {**_MIXES, "views": 3}},
    },
}


AXES: dict[str, dict[str, Any]] = {
    "instance temperature": {
        "temperature": {"name": "ctkd", "scope": "instance"},
        "objectives": ["dkd", "cross_entropy"],
    },
    "two objectives with learned parts": {"objectives": ["kd", "fitnet", "reviewkd"]},
    "the best of several assistants": {
        "method": {"name": "takd", "candidates": OPTIONS["dgkd"]["assistants"]}
    },
    "masks on a chain": {"method": small_method("takd"), "objectives": [small_method("maskd")]},
    "weights on a curriculum": {"weighting": "ipwd", "curriculum": "easy_to_hard"},
    "averages of weights along a route": {
        "method": "rco",
        "training": {**IMAGES["training"], "ema_decay": 0.7, "optim": "adamw"},
    },
    "a teacher that is always asked": {"teacher_cache": "never"},
    "a teacher's kept answers about views": {
        "data": {**IMAGES["data"], "augmentation": {"horizontal_flip": True, "views": 2}},
        "objectives": ["kd", "fitnet"],
        "teacher_cache": "always",
    },
    "two seeds and both controls": {"seeds": [3, 1], "baseline": {"hard_labels": True}},
}


def weights(folder: Path) -> dict[str, Any]:
    """Return the weights that every stage ended with."""
    return {name: held for name, held in results(folder).items() if name.endswith(".safetensors")}


def results(folder: Path) -> dict[str, Any]:
    """Return what is kept of every stage: its weights, and its scores with all digests."""
    files = sorted((folder / "stages").iterdir())
    # Who is killed while it writes leaves a piece beside the file, which nobody reads.
    return {file.name: _timeless(file) for file in files if file.suffix != ".tmp"}


def _timeless(file: Path) -> Any:
    """Read a file without what a clock has told."""
    if file.suffix != ".json":
        return file.read_bytes()
    return {key: value for key, value in json.loads(file.read_text()).items() if key != "seconds"}


def curve(events: list[Event]) -> dict[tuple[str, int], dict[str, float]]:
    """Return the point of every stage and step; what was told again replaces what was told."""
    points: dict[tuple[str, int], dict[str, float]] = {}
    for event in events:
        if isinstance(event, Metrics):
            for row in zip(*event.columns.values(), strict=True):
                values = dict(zip(event.columns, row, strict=True))
                known = {name: value for name, value in values.items() if value is not None}
                points[event.stage, int(known["step"])] = known
    return points
