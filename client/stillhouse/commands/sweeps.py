"""sweeps: submit, find, list, show, leaderboard, cancel, resume."""

from __future__ import annotations

from typing import Annotated, Any, cast

import typer
from rich.table import Table
from rich.text import Text

from stillhouse import exits
from stillhouse.client import Client
from stillhouse.options import AsJson, Timeout, Url, connect
from stillhouse.output import Output
from stillhouse.spec import read_spec
from stillhouse.sweep_bodies import Leaderboard, Sweep, SweepPlan
from stillhouse.tables import status_text, table_of
from stillhouse.words import age, number

sweeps = typer.Typer(
    help="Try a spec at many points, and rank them; or find a student within limits.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_File = Annotated[
    str, typer.Argument(metavar="FILE", help="YAML or JSON; - reads it from standard input.")
]
_Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, as list shows it.")]
_Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change the file first. Repeatable."),
]
_Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended, and rank it then.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be tried.")]
_Key = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Submitting again with this key gives the same sweep."),
]


@sweeps.command(epilog=exits.HELP)
def submit(  # noqa: PLR0913 - a command's options
    file: _File,
    changes: _Changes = None,
    *,
    wait: _Wait = False,
    dry_run: _DryRun = False,
    idempotency_key: _Key = None,
    timeout: Timeout = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Submit a sweep: a file with `spec` and `space`. Prints its id, or with --wait its ranks."""
    output, body = Output(as_json=as_json), read_spec(file, changes or ())
    with connect(url) as client:
        if dry_run:
            _plan(output, client.sweeps.plan(body))
            return
        sweep = client.sweeps.create(body, idempotency_key=idempotency_key)
        _made(client, output, sweep, timeout, wait=wait)


@sweeps.command(epilog=exits.HELP)
def find(  # noqa: PLR0913 - a command's options
    file: _File,
    changes: _Changes = None,
    *,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="LINE", help='Such as "parameters <= 50000". Repeatable.'),
    ] = None,
    candidates: Annotated[int, typer.Option(min=1, max=64, help="Students to try.")] = 8,
    wait: _Wait = False,
    dry_run: _DryRun = False,
    idempotency_key: _Key = None,
    timeout: Timeout = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Find a student: a spec without one, and limits. Tries known networks of many sizes."""
    output = Output(as_json=as_json)
    body: dict[str, Any] = {
        "spec": read_spec(file, changes or ()),
        "limits": list(limit or ()),
        "candidates": candidates,
    }
    with connect(url) as client:
        if dry_run:
            _plan(output, client.sweeps.plan_of_find(body))
            return
        sweep = client.sweeps.find(body, idempotency_key=idempotency_key)
        _made(client, output, sweep, timeout, wait=wait)


@sweeps.command("list")
def list_all(url: Url = None, as_json: AsJson = False) -> None:
    """List the sweeps, the newest first."""
    with connect(url) as client:
        found = client.sweeps.list()
    table = table_of("id", "name", "status", "trials", "age")
    for one in found:
        row = (Text(one["name"] or "-"), status_text(one["status"]), _standing(one))
        table.add_row(one["id"], *row, age(one["created_at"]))
    Output(as_json=as_json).result(found, table)


@sweeps.command()
def show(sweep_id: _Id, url: Url = None, as_json: AsJson = False) -> None:
    """Show one sweep."""
    with connect(url) as client:
        one = client.sweeps.get(sweep_id)
    lines = {
        "id": one["id"],
        "status": one["status"] + (f" ({one['ended_for']})" if one["ended_for"] else ""),
        "trials": _standing(one),
        "strategy": str(one["strategy"]["name"]),
        "space": ", ".join(one["space"]),
        "limits": ", ".join(one["limits"]) or "none",
    }
    Output(as_json=as_json).plain(
        one, "\n".join(f"{word:<10} {said}" for word, said in lines.items())
    )


@sweeps.command()
def leaderboard(sweep_id: _Id, url: Url = None, as_json: AsJson = False) -> None:
    """Rank the points of a sweep, the best first."""
    with connect(url) as client:
        found = client.sweeps.leaderboard(sweep_id)
    Output(as_json=as_json).result(found, _ranks(found))


@sweeps.command()
def cancel(
    sweep_id: _Id,
    *,
    now: Annotated[bool, typer.Option("--now", help="Without saving checkpoints.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Begin no more trials, and cancel those that wait or run."""
    with connect(url) as client:
        one = client.sweeps.cancel(sweep_id, mode="now" if now else "graceful")
    Output(as_json=as_json).plain(one, f"{one['id']} is {one['status']}: {_standing(one)}")


@sweeps.command()
def resume(
    sweep_id: _Id,
    budget: Annotated[
        int | None, typer.Option(help="Seconds of all trials together, in the place of before.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a sweep that was cancelled or has spent its budget; what had ended stays."""
    with connect(url) as client:
        one = client.sweeps.resume(sweep_id, budget_seconds=budget)
    Output(as_json=as_json).plain(one, f"{one['id']} is {one['status']}: {_standing(one)}")


def _made(
    client: Client, output: Output, sweep: Sweep, timeout: float | None, *, wait: bool
) -> None:
    output.say(f"{sweep['id']}: {_standing(sweep)}; {client.url}/v1/sweeps/{sweep['id']}", "green")
    if not wait:
        output.plain(sweep, sweep["id"])
        return
    with output.talk.status("waiting") as status:

        def seen(one: Sweep) -> None:
            status.update(Text(_standing(one)))

        ended = client.sweeps.wait(sweep["id"], timeout_seconds=timeout, seen=seen)
    found = client.sweeps.leaderboard(sweep["id"])
    output.result(found, _ranks(found))
    if ended["status"] == "cancelled":
        raise typer.Exit(exits.CANCELLED)
    if not any(one["rank"] for one in found["data"]):
        raise typer.Exit(exits.FAILED)


def _plan(output: Output, plan: SweepPlan) -> None:
    table = table_of("trial", *(plan["points"][0] if plan["points"] else ()))
    for place, point in enumerate(plan["points"]):
        table.add_row(str(place), *(Text(_shown(value)) for value in point.values()))
    output.result(plan, table)
    rungs = f", on rungs of {', '.join(map(str, plan['rungs']))}" if plan["rungs"] else ""
    output.say(f"{len(plan['points'])} points{rungs}; {plan['steps']:,} steps at most")


def _standing(sweep: Sweep) -> str:
    told = [f"{count} {word}" for word, count in sweep["trials"].items() if count]
    return ", ".join(told) or "nothing to try"


def _ranks(board: Leaderboard) -> Table:
    rows = board["data"]
    metrics = list(rows[0]["values"]) if rows else []
    table = table_of("rank", "point", *metrics, "verdict", "job")
    # Ids are copied, and so told whole; points may go on in the next line.
    table.columns[-1].no_wrap, table.columns[-1].min_width = True, 30
    for one in rows:
        point = ", ".join(
            f"{path.rpartition('/')[2]} {_shown(value)}" for path, value in one["point"].items()
        )
        marks = ("*" if one["on_front"] and len(metrics) > 1 else "") + (
            " over a limit" if one["within_limits"] is False else ""
        )
        values = (one["values"][metric] for metric in metrics)
        said = one["outcome"] or one["status"] or one["state"]
        if one["reason"]:
            said = f"{said}: {one['reason'].get('code', '')}"
        table.add_row(
            f"{one['rank'] or '-'}{marks}",
            Text(point),
            *("-" if value is None else number(value) for value in values),
            Text(said),
            one["job"] or "-",
        )
    return table


def _shown(value: object) -> str:
    """A value of a point, in a few letters."""
    if not isinstance(value, dict):
        return str(value)
    fields = cast("dict[str, Any]", value)
    if "model" in fields:
        return _shown(fields["model"])
    return " ".join(str(said) if key == "name" else f"{key} {said}" for key, said in fields.items())
