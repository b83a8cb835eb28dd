"""What the shell offers behind an option, once completion is installed."""

from __future__ import annotations

from typing import Final, get_args

import typer

from stillhouse.bodies import Status
from stillhouse.client import Client
from stillhouse.errors import StillhouseError

AXES: Final = (
    *("methods", "objectives", "temperatures", "weightings", "paths", "curricula"),
    *("architectures", "tasks", "data"),
)
_SECONDS: Final = 2.0
"""Somebody has pressed a key and waits."""


def axes() -> list[str]:
    """Return what `--axis` may be."""
    return [*AXES]


def statuses() -> list[str]:
    """Return what `--status` may be."""
    return [*get_args(Status)]


def methods() -> list[str]:
    """Return the names of the server's methods; none where it does not answer at once."""
    return _names("methods")


def entries(context: typer.Context) -> list[str]:
    """Return the names of the entries of the axis that stands on the line."""
    return _names(context.params.get("axis") or "methods")


def _names(axis: str) -> list[str]:
    try:
        with Client(timeout_seconds=_SECONDS, patience_seconds=0) as client:
            return [str(entry["name"]) for entry in client.catalogue(axis)]
    except StillhouseError:
        return []
