"""webhooks: create, list, show, change, test, deliveries, redeliver, rotate, delete."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from stillhouse import exits
from stillhouse.options import AsJson, Url, connect
from stillhouse.output import Output
from stillhouse.tables import table_of
from stillhouse.webhook_bodies import (
    CreatedWebhook,
    Webhook,
    WebhookChange,
    WebhookDelivery,
    WebhookFormat,
    WebhookTraits,
)
from stillhouse.words import age

webhooks = typer.Typer(
    help="Have URLs told of events, by signed messages.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, as list shows it.")]
_DeliveryId = Annotated[str, typer.Argument(metavar="MESSAGE", help="As deliveries shows it.")]
_Events = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="TYPE", help="Such as job.failed. Repeatable."),
]
_Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="KEY=VALUE", help="Only of jobs that have it. Repeatable."),
]
_Description = Annotated[str | None, typer.Option(help="What it is for.")]
_Format = Annotated[
    WebhookFormat | None,
    typer.Option(
        "--format", metavar="standard|cloudevents|openai", help="How messages are written."
    ),
]
_Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for what comes of it.")]


@webhooks.command()
def create(  # noqa: PLR0913, PLR0917 - a command's options
    target: Annotated[str, typer.Argument(metavar="URL", help="https://…, where to post to.")],
    event: _Events = None,
    label: _Labels = None,
    description: _Description = None,
    form: _Format = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Have a URL told when jobs end, or of other events; prints the secret, which is told once."""
    traits = _traits(event, label, description, form)
    with connect(url) as client:
        made = client.webhooks.create(target, **traits)
    _tell_secret(Output(as_json=as_json), made)


@webhooks.command("list")
def list_all(url: Url = None, as_json: AsJson = False) -> None:
    """List the webhooks, the newest first."""
    with connect(url) as client:
        found = client.webhooks.list()
    table = table_of("id", "url", "events", "status", "last delivery")
    for one in found:
        delivered = f"{age(one['delivered_at'])} ago" if one["delivered_at"] else "never"
        told = (Text(one["url"]), Text(", ".join(one["events"])), _standing(one))
        table.add_row(one["id"], *told, delivered)
    Output(as_json=as_json).result(found, table)


@webhooks.command()
def show(webhook_id: _Id, url: Url = None, as_json: AsJson = False) -> None:
    """Show one webhook."""
    with connect(url) as client:
        one = client.webhooks.get(webhook_id)
    Output(as_json=as_json).plain(one, _shown(one))


@webhooks.command()
def change(  # noqa: PLR0913 - a command's options
    webhook_id: _Id,
    *,
    target: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="Where to post to.")
    ] = None,
    event: _Events = None,
    label: _Labels = None,
    description: _Description = None,
    form: _Format = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it is told anything.")
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Change a webhook, or enable it again; events and labels are named anew as a whole."""
    changes: WebhookChange = {**_traits(event, label, description, form)}
    if target is not None:
        changes["url"] = target
    if enabled is not None:
        changes["enabled"] = enabled
    if not changes:
        raise typer.BadParameter("nothing to change; expected --event, --enable, --to or another")
    with connect(url) as client:
        one = client.webhooks.change(webhook_id, **changes)
    Output(as_json=as_json).plain(one, _shown(one))


@webhooks.command("test", epilog=exits.HELP)
def send_test(
    webhook_id: _Id, *, wait: _Wait = True, url: Url = None, as_json: AsJson = False
) -> None:
    """Have a test message sent, and tell what came of it: exit code 1 where it failed."""
    with connect(url) as client:
        sent = client.webhooks.test(webhook_id)
        if wait:
            sent = client.webhooks.wait(webhook_id, sent["id"])
    _tell(Output(as_json=as_json), sent)


@webhooks.command()
def deliveries(
    webhook_id: _Id,
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Messages at most.")] = 50,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """List what a webhook was and is told, the newest first, and what came of each message."""
    with connect(url) as client:
        page = client.webhooks.deliveries(webhook_id, limit=limit)
    Output(as_json=as_json).result(page, _table(page["data"]))


@webhooks.command(epilog=exits.HELP)
def redeliver(
    webhook_id: _Id,
    delivery_id: _DeliveryId,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Have a message sent now, under the same id, and by the whole schedule again."""
    with connect(url) as client:
        sent = client.webhooks.redeliver(webhook_id, delivery_id)
    Output(as_json=as_json).plain(sent, f"{sent['id']} is sent again")


@webhooks.command()
def rotate(
    webhook_id: _Id,
    *,
    overlap: Annotated[
        int | None,
        typer.Option(min=0, metavar="SECONDS", help="How long the old one signs as well; a day."),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Give a webhook a new secret, and print it; the old one signs beside it for a day."""
    with connect(url) as client:
        made = client.webhooks.rotate(webhook_id, overlap_seconds=overlap)
    _tell_secret(Output(as_json=as_json), made)


@webhooks.command()
def delete(
    webhook_id: _Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Delete a webhook, with all that it was and would be told."""
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("nobody is there to be asked; say --yes", param_hint="--yes")
        typer.confirm(f"Delete {webhook_id}?", abort=True, err=True)
    with connect(url) as client:
        client.webhooks.delete(webhook_id)
    Output(as_json=as_json).plain({"id": webhook_id, "deleted": True}, f"{webhook_id} deleted")


def _traits(
    events: list[str] | None,
    labels: list[str] | None,
    description: str | None,
    form: WebhookFormat | None,
) -> WebhookTraits:
    traits: WebhookTraits = {}
    if events:
        traits["events"] = events
    if labels:
        pairs = [label.partition("=") for label in labels]
        if any(not equals for _, equals, _ in pairs):
            raise typer.BadParameter(f"found {labels}; expected KEY=VALUE", param_hint="--label")
        traits["labels"] = {key: value for key, _, value in pairs}
    if description is not None:
        traits["description"] = description or None
    if form is not None:
        traits["format"] = form
    return traits


def _tell_secret(output: Output, made: CreatedWebhook) -> None:
    output.plain(made, made["secret"])
    output.say(f"{made['id']}: keep its secret, it is shown once; a receiver needs it.", "dim")


def _tell(output: Output, sent: WebhookDelivery) -> None:
    answered = f"answered {sent['response_code']}" if sent["response_code"] else ""
    said = sent["error"] or answered
    output.plain(sent, f"{sent['id']} {sent['status']}" + (f": {said}" if said else ""))
    if sent["error"] is not None:
        raise typer.Exit(exits.FAILED)


def _standing(one: Webhook) -> Text:
    if one["enabled"]:
        return Text("enabled", style="green")
    return Text(f"disabled ({one['disabled_for']})", style="red")


def _shown(one: Webhook) -> str:
    lines = {
        "id": one["id"],
        "url": one["url"],
        "events": ", ".join(one["events"]),
        "labels": ", ".join(f"{key}={value}" for key, value in one["labels"].items()) or "any",
        "format": one["format"],
        "status": str(_standing(one)),
        "delivered": one["delivered_at"] or "never",
    }
    if one["description"]:
        lines["for"] = one["description"]
    return "\n".join(f"{word:<10} {said}" for word, said in lines.items())


def _table(found: list[WebhookDelivery]) -> Table:
    table = table_of("id", "type", "about", "status", "tries", "answer", "next", "age")
    for one in found:
        table.add_row(
            one["id"],
            one["type"],
            one["subject"],
            one["status"],
            str(one["attempts"]),
            Text(one["error"] or str(one["response_code"] or "-")),
            (one["next_at"] or "-")[:19],
            age(one["created_at"]),
        )
    return table
