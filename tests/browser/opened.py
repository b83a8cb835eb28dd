"""What browser tests open, and the jobs that they look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page

OpenPage = Callable[..., Page]
"""Opens a path of the house."""

SHORT: dict[str, Any] = {
    "name": "short",
    "teacher": {"model": {"name": "mlp", "hidden": [64]}},
    "student": {"model": {"name": "mlp", "hidden": [8]}},
    "data": {"name": "digits", "labelled": 100, "validation_size": 97},
    "training": {"max_steps": 300, "eval_steps": 50},
    "seeds": [0, 1],
    "gates": ["student.accuracy >= 0.5"],
}
"""Two seconds of training."""
LONG = {
    **SHORT,
    "name": "long",
    "training": {"max_steps": 200_000, "save_steps": 1000},
    "seeds": [0],
}
"""It runs until somebody stops it."""
