"""logs: what a job's trainers wrote."""

from __future__ import annotations

from typing import Annotated

import typer

from stillhouse.options import AsJson, JobId, Url, connect
from stillhouse.output import Output


def logs(
    job: JobId,
    attempt: Annotated[
        int | None, typer.Option(min=1, help="This attempt alone; all of them without.")
    ] = None,
    tail: Annotated[int, typer.Option("--tail", "-n", min=1, max=10_000, help="Lines.")] = 1000,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Print the last lines that a job's trainers wrote: warnings, and why one crashed.

    What a trainer reports of its training are events: `stillhouse watch` shows those.
    """
    with connect(url) as client:
        text = client.operations.logs(job, attempt=attempt, tail=tail)
    output = Output(as_json=as_json)
    if as_json or text:
        output.plain({"job": job, "text": text}, text.removesuffix("\n"))
    else:
        output.say("Nothing was written.", "dim")
