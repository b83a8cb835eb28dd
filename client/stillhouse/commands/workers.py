"""workers, workers drain: who works for the server, and who is to stop."""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from stillhouse import exits
from stillhouse.client import Client
from stillhouse.operation_bodies import DrainMode, Worker
from stillhouse.options import LONG_PATIENCE_SECONDS, AsJson, Timeout, Url, connect, program
from stillhouse.output import Output
from stillhouse.tables import table_of
from stillhouse.words import age

_LOOK_SECONDS: Final = 1.0

workers = typer.Typer(
    help="List the workers, and drain one before its machine is switched off.",
    invoke_without_command=True,
    rich_markup_mode="markdown",
)


@workers.callback()
def show_workers(context: typer.Context, url: Url = None, as_json: AsJson = False) -> None:
    """List the workers that are there, and those that lately were; or drain one."""
    if context.invoked_subcommand is None:
        list_workers(url, as_json)


@workers.command("list")
def list_workers(url: Url = None, as_json: AsJson = False) -> None:
    """List the workers that are there, and those that lately were."""
    with connect(url) as client:
        found = client.operations.workers()
    Output(as_json=as_json).result(found, _table(found))


@workers.command(epilog=exits.HELP)
def drain(  # noqa: PLR0913, PLR0917 - the options
    worker: Annotated[str, typer.Argument(metavar="ID", help="The worker's id, as list shows it.")],
    mode: Annotated[
        DrainMode,
        typer.Option(
            metavar="finish|save",
            help="Let its jobs run on to their end, or have them save and go back to the queue.",
        ),
    ] = "finish",
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it has ended.")] = False,
    timeout: Timeout = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Have a worker take no more jobs, and end once it runs none; it takes a key of the house.

    Asking again changes nothing; one that finishes may be told to save. With --wait the exit
    code is 0 once it has ended, 1 where it fell silent instead.
    """
    output = Output(as_json=as_json)
    with connect(url) as client:
        told = client.operations.drain_worker(worker, mode=mode)
        output.plain(told, f"{told['id']} drains ({told.get('draining')})")
        if wait:
            client.patience_seconds = LONG_PATIENCE_SECONDS
            raise typer.Exit(_stay(client, worker, output, timeout))


def _stay(client: Client, worker_id: str, output: Output, timeout: float | None) -> int:
    until = None if timeout is None else time.monotonic() + timeout
    try:
        while True:
            found = next((w for w in client.operations.workers() if w["id"] == worker_id), None)
            if found is None:
                output.say(f"{worker_id} has ended")
                return exits.SUCCEEDED
            if not found["alive"]:
                output.say(
                    f"{worker_id} has said nothing for {age(found['seen_at'])}: what it ran goes to"
                    " other workers; should it come back, it takes no jobs and ends",
                    "red",
                )
                return exits.FAILED
            if until is not None and time.monotonic() >= until:
                hint = (
                    f"; do not wait for its jobs: {program()} workers drain {worker_id} --mode save"
                )
                rest = hint if found.get("draining") == "finish" else ""
                output.say(f"{worker_id} still runs after {timeout:g} s, and drains on{rest}")
                return exits.TIMED_OUT
            time.sleep(_LOOK_SECONDS)
    except KeyboardInterrupt:
        output.say(f"\nLet go of {worker_id}; it drains on.")
        return exits.INTERRUPTED


def _table(found: list[Worker]) -> Table:
    table = table_of("id", "slots", "started", "seen", "")
    for worker in found:
        state = Text("silent", "red")
        if worker["alive"]:
            mode = worker.get("draining")
            state = Text(f"drains ({mode})", "yellow") if mode else Text("at work", "green")
        table.add_row(
            worker["id"],
            str(worker["slots"]),
            f"{age(worker['started_at'])} ago",
            f"{age(worker['seen_at'])} ago",
            state,
        )
    return table
