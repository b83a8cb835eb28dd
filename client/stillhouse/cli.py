"""The command line: `stillhouse`."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from stillhouse import exits
from stillhouse.commands.access import audit, keys, projects, whoami
from stillhouse.commands.catalogue import methods
from stillhouse.commands.compare import compare
from stillhouse.commands.doctor import doctor
from stillhouse.commands.estimate import estimate
from stillhouse.commands.export import export
from stillhouse.commands.files import download, report
from stillhouse.commands.inputs import datasets, models
from stillhouse.commands.jobs import list_jobs, show
from stillhouse.commands.logs import logs
from stillhouse.commands.preflight import preflight
from stillhouse.commands.submit import submit
from stillhouse.commands.sweeps import sweeps
from stillhouse.commands.teacher_caches import teacher_caches
from stillhouse.commands.up import up
from stillhouse.commands.verbs import cancel, clone, delete, label, pause, resume, retry
from stillhouse.commands.watch import wait, watch
from stillhouse.commands.webhooks import webhooks
from stillhouse.commands.workers import workers
from stillhouse.errors import StillhouseError
from stillhouse.output import Output, error_document

app = typer.Typer(
    name="stillhouse",
    help="Knowledge distillation as a service: submit a spec, watch it, download a student that is "
    "proven to be worth having.",
    epilog=exits.HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command(rich_help_panel="Server")(up)
app.command(rich_help_panel="Server")(doctor)
app.add_typer(workers, name="workers", rich_help_panel="Server")
app.add_typer(webhooks, name="webhooks", rich_help_panel="Server")
app.command(rich_help_panel="Jobs", epilog=exits.HELP)(submit)
app.command(rich_help_panel="Jobs")(estimate)
app.command(rich_help_panel="Jobs")(preflight)
app.command(rich_help_panel="Jobs", epilog=exits.HELP)(watch)
app.command(rich_help_panel="Jobs", epilog=exits.HELP)(wait)
app.command("list", rich_help_panel="Jobs")(list_jobs)
app.command(rich_help_panel="Jobs")(show)
for _verb in (cancel, pause, resume, retry, clone, label, delete):
    app.command(rich_help_panel="Jobs")(_verb)
app.command(rich_help_panel="Jobs")(logs)
app.add_typer(sweeps, name="sweeps", rich_help_panel="Jobs")
app.command(rich_help_panel="Results")(download)
app.command(rich_help_panel="Results")(report)
app.command(rich_help_panel="Results")(compare)
app.command(rich_help_panel="Results")(export)
app.add_typer(datasets, name="datasets", rich_help_panel="Inputs")
app.add_typer(models, name="models", rich_help_panel="Inputs")
app.command(rich_help_panel="Catalogue")(methods)
app.add_typer(teacher_caches, name="teacher-caches", rich_help_panel="Teacher caches")
app.command(rich_help_panel="Access")(whoami)
app.add_typer(keys, name="keys", rich_help_panel="Access")
app.add_typer(projects, name="projects", rich_help_panel="Access")
app.command(rich_help_panel="Access")(audit)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"stillhouse {version('stillhouse')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Hold the options of the program itself."""


def main() -> None:
    """Run a command; every failure becomes a sentence and an exit code."""
    try:
        app()
    except StillhouseError as error:
        output = Output(as_json="--json" in sys.argv)
        if output.as_json:
            output.line({"error": error_document(error)}, indent=2)
        output.say(f"Error: {error}", "red")
        sys.exit(exits.of_error(error))
    except BrokenPipeError:
        # The reader (head, less) has seen enough; Python would complain once more while closing.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(exits.FAILED)


if __name__ == "__main__":
    main()
