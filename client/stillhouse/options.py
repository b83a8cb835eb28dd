"""The options that many commands share."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.client import Client

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="STILLHOUSE_URL",
        help="The server. Without it: the one that `stillhouse up` runs on the data folder here "
        "(STILLHOUSE_DATA or ./stillhouse-data), else http://127.0.0.1:8000.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Standard output is JSON only; talk goes to standard error."),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id, job_…")]
Curves = Annotated[
    bool, typer.Option("--curves/--no-curves", help="Draw the training's curve on a terminal.")
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", min=0, metavar="SECONDS", help="Give up waiting then (exit code 124)."
    ),
]

FIRST_PATIENCE_SECONDS = 3.0
"""For a server that has not answered yet: a person waits for the error."""
LONG_PATIENCE_SECONDS = 600.0
"""For a server that was there a moment ago: an upgrade or a restart should not end a watch."""


def program() -> str:
    """What to type for this program here: its name, or its path where the name is not found."""
    if shutil.which("stillhouse"):
        return "stillhouse"
    beside = Path(sys.executable).with_name("stillhouse")
    return os.path.relpath(beside) if beside.exists() else f"{sys.executable} -m stillhouse"


def connect(url: str | None) -> Client:
    """A client for one command."""
    return Client(url, patience_seconds=FIRST_PATIENCE_SECONDS)
