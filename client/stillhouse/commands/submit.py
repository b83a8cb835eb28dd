"""submit: from a file to a job."""

from __future__ import annotations

from typing import Annotated, Final

import typer
import yaml

from stillhouse import exits
from stillhouse.commands.watch import attend
from stillhouse.options import AsJson, Curves, Timeout, Url, connect, program
from stillhouse.output import Output
from stillhouse.spec import read_spec

EXAMPLES: Final = ("training.max_steps=500", "seeds=[0,1]")
"""Changes that the help shows."""


def submit(  # noqa: PLR0913 - a command's options
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="YAML or JSON; - reads it from standard input.")
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help=f"Change the spec before it is sent: {', '.join(EXAMPLES)}. Repeatable.",
        ),
    ] = None,
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait silently until the job has ended.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the job live until it has ended.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only check the spec; print it with all defaults filled in."
        ),
    ] = False,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Submitting again with this key gives the same job. In CI: run id and job.",
        ),
    ] = None,
    curves: Curves = True,
    timeout: Timeout = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Submit a distillation job.

    Prints the job's id, so that JOB=$(stillhouse submit spec.yaml) works. With --wait or --watch
    the exit code tells how the job ended, gates included: enough for a CI step. Ctrl-C lets go
    of the job and never cancels it.
    """
    output = Output(as_json=as_json)
    spec = read_spec(file, changes or ())
    with connect(url) as client:
        if dry_run:
            checked = client.validate(spec)
            output.say("The spec is valid; nothing was submitted.", "green")
            filled_in = yaml.safe_dump(checked["recipe"], sort_keys=False, allow_unicode=True)
            output.plain(checked, filled_in.rstrip())
            return
        job = client.submit(spec, idempotency_key=idempotency_key)
        output.say(f"{job['id']} is {job['status']}: {client.url}{job['links']['page']}")
        if watch or wait:
            raise typer.Exit(
                attend(
                    client,
                    job["id"],
                    output,
                    timeout=timeout,
                    quiet=wait and not watch,
                    curves=curves,
                )
            )
        output.plain(job, job["id"])
        output.say(f"Follow it with: {program()} watch {job['id']}", "dim")
    raise typer.Exit(exits.SUCCEEDED)
