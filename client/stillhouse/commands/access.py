"""whoami, keys, projects, audit: who may do what, and who did."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from stillhouse.access_bodies import AuditLine, Key, Project, Scope
from stillhouse.options import AsJson, Url, connect
from stillhouse.output import Output
from stillhouse.tables import table_of
from stillhouse.words import age

Limit = Annotated[int | None, typer.Option(min=0, help="Jobs at most; without it, no limit.")]
NewLimit = Annotated[str | None, typer.Option(metavar="JOBS", help="A number, or `none`.")]

keys = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
projects = typer.Typer(help="Make projects and say what each may take.", no_args_is_help=True)


def whoami(url: Url = None, as_json: AsJson = False) -> None:
    """Show the project, the scope and the key that this command line has (STILLHOUSE_API_KEY)."""
    with connect(url) as client:
        me = client.access.me()
    key = f"key {me['key_id']}" if me["key_id"] else "no key asked for"
    reach = ", every project is open" if me["house"] else ""
    text = f"project {me['project']}, scope {me['scope']}, {key}{reach}"
    Output(as_json=as_json).plain(me, text)


@keys.command("create")
def create_key(  # noqa: PLR0913, PLR0917 - the options
    name: Annotated[str, typer.Argument(help="Whose it is, or what for.")],
    scope: Annotated[
        Scope,
        typer.Option(help="read looks, write submits and changes jobs, admin makes keys."),
    ] = "write",
    project: Annotated[str | None, typer.Option(help="Its project; yours without it.")] = None,
    house: Annotated[bool, typer.Option("--house", help="It opens every project.")] = False,
    days: Annotated[int | None, typer.Option(min=1, help="Valid for so many days.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a key; it is printed once, alone on standard output, and kept nowhere."""
    output = Output(as_json=as_json)
    with connect(url) as client:
        made = client.access.create_key(
            name, scope=scope, project=project, house=house, expires_in_days=days
        )
    output.plain(made, made["key"])
    output.say("Keep it: it is shown once. Use it as STILLHOUSE_API_KEY.", "dim")


@keys.command("list")
def list_keys(url: Url = None, as_json: AsJson = False) -> None:
    """List the keys, the newest first, without what opens doors."""
    with connect(url) as client:
        found = client.access.keys()
    Output(as_json=as_json).result(found, _keys_table(found))


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as list shows it.")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Have a key open nothing any more, within a second."""
    with connect(url) as client:
        revoked = client.access.revoke_key(key_id)
    Output(as_json=as_json).plain(revoked, f"{key_id} revoked")


@projects.command("create")
def create_project(
    name: Annotated[str, typer.Argument(help="Lower case letters, digits and -.")],
    max_running: Limit = None,
    max_waiting: Limit = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a project, with a key of the house."""
    with connect(url) as client:
        made = client.access.create_project(name, max_running=max_running, max_waiting=max_waiting)
    Output(as_json=as_json).plain(made, f"project {name} made")


@projects.command("list")
def list_projects(url: Url = None, as_json: AsJson = False) -> None:
    """List the projects that your key opens, and what each takes at the moment."""
    with connect(url) as client:
        found = client.access.projects()
    Output(as_json=as_json).result(found, _projects_table(found))


@projects.command("limit")
def limit_project(
    name: Annotated[str, typer.Argument(help="The project.")],
    max_running: NewLimit = None,
    max_waiting: NewLimit = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Say what a project may take; a limit that is not named stays as it is."""
    named = {"max_running": max_running, "max_waiting": max_waiting}
    limits = {limit: _jobs(text) for limit, text in named.items() if text is not None}
    with connect(url) as client:
        limited = client.access.limit_project(name, **limits)
    Output(as_json=as_json).result(limited, _projects_table([limited]))


def audit(
    subject: Annotated[str | None, typer.Argument(help="Only of this job, key or project.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Lines at most.")] = 50,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show what was done to what by whom, the newest first."""
    with connect(url) as client:
        page = client.access.audit(subject=subject, limit=limit)
    Output(as_json=as_json).result(page, _audit_table(page["data"]))


def _keys_table(found: list[Key]) -> Table:
    table = table_of("id", "name", "scope", "project", "made", "last used", "")
    for key in found:
        used = key["last_used_at"]
        state = "revoked" if key["revoked_at"] else ""
        if key["expires_at"] and not state:
            state = f"until {key['expires_at'][:16]}"
        table.add_row(
            key["id"],
            Text(key["name"]),
            key["scope"],
            key["project"] or "(all)",
            f"{age(key['created_at'])} ago",
            f"{age(used)} ago" if used else "never",
            state,
        )
    return table


def _projects_table(found: list[Project]) -> Table:
    table = table_of("project", "running", "at most", "waiting", "at most")
    for one in found:
        table.add_row(
            one["name"],
            str(one["running"]),
            _at_most(one["max_running"]),
            str(one["waiting"]),
            _at_most(one["max_waiting"]),
        )
    return table


def _jobs(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal():
        raise typer.BadParameter(f"found {text!r}; expected a number of jobs, or none")
    return int(text)


def _at_most(limit: int | None) -> str:
    return "-" if limit is None else str(limit)


def _audit_table(lines: list[AuditLine]) -> Table:
    table = table_of("at", "action", "subject", "project", "key", "from")
    for line in lines:
        table.add_row(
            line["at"][:19],
            line["action"],
            Text(line["subject"]),
            line["project"] or "(house)",
            line["key_id"] or "-",
            line["address"] or "-",
        )
    return table
