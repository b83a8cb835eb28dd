"""teacher-caches list, show, pin, unpin, delete: what is kept of what teachers said."""

from __future__ import annotations

from typing import Annotated

import typer

from stillhouse.caches import cache_view, caches_table
from stillhouse.options import AsJson, Url, connect
from stillhouse.output import Output
from stillhouse.words import size

Key = Annotated[str, typer.Argument(metavar="KEY", help="The cache's key, as list shows it.")]

teacher_caches = typer.Typer(
    help="See and manage what teachers said, kept for all jobs.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@teacher_caches.command("list")
def list_caches(url: Url = None, as_json: AsJson = False) -> None:
    """List the caches, the last used first."""
    output = Output(as_json=as_json)
    with connect(url) as client:
        page = client.teacher_caches.page()
    output.result(page, caches_table(page["data"]))
    output.say(f"{size(page['bytes'])} of {size(page['budget_bytes'])}", "dim")


@teacher_caches.command()
def show(key: Key, url: Url = None, as_json: AsJson = False) -> None:
    """Show one cache: whose answers, about which data, in which views."""
    output = Output(as_json=as_json)
    with connect(url) as client:
        found = client.teacher_caches.get(key)
    output.result(found, cache_view(found))


@teacher_caches.command()
def pin(key: Key, url: Url = None, as_json: AsJson = False) -> None:
    """Keep a cache, whatever the budget; it cannot be deleted until it is unpinned."""
    with connect(url) as client:
        kept = client.teacher_caches.pin(key)
    Output(as_json=as_json).plain(kept, f"{key} pinned")


@teacher_caches.command()
def unpin(key: Key, url: Url = None, as_json: AsJson = False) -> None:
    """Let a cache make way again when room is short."""
    with connect(url) as client:
        let_go = client.teacher_caches.pin(key, pinned=False)
    Output(as_json=as_json).plain(let_go, f"{key} unpinned")


@teacher_caches.command()
def delete(key: Key, url: Url = None, as_json: AsJson = False) -> None:
    """Delete a cache; jobs that need it write it anew. One that a job reads is not deleted."""
    with connect(url) as client:
        client.teacher_caches.delete(key)
    Output(as_json=as_json).plain({"key": key, "deleted": True}, f"{key} deleted")
