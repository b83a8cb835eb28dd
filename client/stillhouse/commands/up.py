"""up: a whole server on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.address import data_folder
from stillhouse.options import AsJson, program
from stillhouse.output import Output
from stillhouse.up import House


def up(
    data: Annotated[
        Path | None,
        typer.Option(
            envvar="STILLHOUSE_DATA", help="Database, files and logs; ./stillhouse-data without."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(envvar="STILLHOUSE_HOST", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            envvar="STILLHOUSE_PORT",
            min=0,
            max=65535,
            help="8000 without, or a free one when that is taken; 0 takes any free one.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(envvar="STILLHOUSE_WORKERS", min=0, max=256, help="Worker processes.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Start Stillhouse on this machine: API, page and workers.

    Nothing but Python packages is needed: the database is SQLite in the data folder, and the
    workers find jobs there by themselves. STILLHOUSE_DATABASE_URL (PostgreSQL) and
    STILLHOUSE_BROKER_URL (Redis) change that, one variable each.

    Ctrl-C stops everything: running jobs are saved and go on at the next start. A second
    Ctrl-C does not wait for that. With --json one line tells the URL when the server is ready.
    """
    output = Output(as_json=as_json)
    folder = (data or data_folder()).absolute()
    house = House(data=folder, host=host, port=port, workers=workers, tell=output.say)

    def ready() -> None:
        if as_json:
            output.line(
                {"url": house.url, "pid": os.getpid(), "data": str(folder), "workers": workers}
            )
        noun = "worker" if workers == 1 else "workers"
        output.say(
            f"Stillhouse is up: {house.url}/   ({workers} {noun}, data in {folder})", "bold green"
        )
        spec = "examples/digits.yaml" if Path("examples/digits.yaml").exists() else "spec.yaml"
        output.say(f"  submit   {program()} submit {spec} --url {house.url} --watch")
        output.say(
            f"  or       curl -sS {house.url}/v1/jobs -H 'Content-Type: application/yaml' "
            f"--data-binary @{spec}"
        )
        output.say(f"  API      {house.url}/openapi.json        logs  {folder / 'logs'}")
        output.say("Ctrl-C stops it; running jobs are saved.", "dim")

    output.say("Starting the API and the database …", "dim")
    house.run(ready)
