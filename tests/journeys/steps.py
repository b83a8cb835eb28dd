"""What steps of pipelines are given to do."""

from __future__ import annotations

from typing import Any

SPEC: dict[str, Any] = {
    "teacher": {"model": {"name": "mlp", "hidden": [64]}},
    "student": {"model": {"name": "mlp", "hidden": [8]}},
    "data": {"name": "digits", "labelled": 100},
    "training": {"max_steps": 100},
}
