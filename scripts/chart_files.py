"""Copies of files in the Helm chart: Helm reads nothing outside it, and links get lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

_DEPLOY: Final = Path(__file__).parents[1] / "deploy"
COPIES: Final = {
    _DEPLOY / "helm/stillhouse/files/dashboard.json": _DEPLOY / "grafana/stillhouse.json",
    _DEPLOY / "helm/stillhouse/files/alerts.yaml": _DEPLOY / "prometheus/alerts.yaml",
}
"""What each is a copy of."""


def copy() -> None:
    """Write them anew."""
    for inside, outside in COPIES.items():
        shutil.copyfile(outside, inside)
