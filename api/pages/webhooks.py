"""Webhooks: who is told of what, what came of each message, and buttons that try it out."""

from __future__ import annotations

from typing import Annotated, Final, get_args

from fastapi import APIRouter, Path
from starlette.responses import RedirectResponse, Response

from api.dependencies import AdminLedger, SentBody, Visit
from api.pages.fields import fields_of
from api.pages.rendering import page
from api.pagination import decode, encode
from api.problems import PayloadProblem
from api.routes import webhooks as routes
from api.webhooks import CreatedWebhook, NewWebhook, delivery_of, webhook_of
from jobs.ids import DELIVERY_ID
from jobs.outbox import WebhookEvent
from jobs.webhooks import WebhookFormat

router = APIRouter(prefix="/webhooks", include_in_schema=False)

_LISTED: Final = 50
_Id = Annotated[str, Path()]


@router.get("")
def webhooks_page(visit: AdminLedger) -> Response:
    """Show the webhooks of the project, and a form for another one."""
    usual = NewWebhook.model_validate({"url": "https://"})
    return _list(visit, {"url": [usual.url], "events": [*usual.events], "format": [usual.format]})


@router.post("")
def create(visit: AdminLedger, body: SentBody) -> Response:
    """Make what the form asks for and show it with its secret, or the form with what is wrong."""
    sent = fields_of(body)
    labels = (word.partition("=") for word in sent.get("labels", [""])[0].split())
    wanted = {
        "url": sent.get("url", [""])[0].strip(),
        "description": sent.get("description", [""])[0].strip() or None,
        "events": sent.get("events", []),
        "format": sent.get("format", ["standard"])[0],
        "labels": {key: value if equals else None for key, equals, value in labels},
    }
    try:
        created = routes.made(visit, wanted)
    except PayloadProblem as problem:
        return _list(visit, sent, problem)
    return _one(visit, created.id, created=created)


@router.get("/{webhook_id}")
def webhook_page(visit: AdminLedger, webhook_id: _Id, after: str | None = None) -> Response:
    """Show one webhook, and what it was told."""
    return _one(visit, webhook_id, after=after)


@router.post("/{webhook_id}/test")
def test(visit: AdminLedger, webhook_id: _Id) -> Response:
    """Have a message sent that only shows that messages arrive."""
    routes.test_webhook(visit, webhook_id)
    return _back(webhook_id)


@router.post("/{webhook_id}/rotate")
def rotate(visit: AdminLedger, webhook_id: _Id, body: SentBody) -> Response:
    """Give it a new secret, and show that; an old one that has leaked counts no more."""
    has_leaked = "leaked" in fields_of(body)
    created = routes.rotated(visit, webhook_id, {"overlap_seconds": 0} if has_leaked else {})
    return _one(visit, webhook_id, created=created)


@router.post("/{webhook_id}/enable")
def enable(visit: AdminLedger, webhook_id: _Id) -> Response:
    """Have it told of what happens from now on."""
    routes.changed(visit, webhook_id, {"enabled": True})
    return _back(webhook_id)


@router.post("/{webhook_id}/disable")
def disable(visit: AdminLedger, webhook_id: _Id) -> Response:
    """Have it told nothing for now."""
    routes.changed(visit, webhook_id, {"enabled": False})
    return _back(webhook_id)


@router.post("/{webhook_id}/delete")
def delete(visit: AdminLedger, webhook_id: _Id) -> Response:
    """Remove it, with all that it was and would be told."""
    routes.delete_webhook(visit, webhook_id)
    return RedirectResponse("/webhooks", 303)


@router.post("/{webhook_id}/deliveries/{delivery_id}/redeliver")
def redeliver(visit: AdminLedger, webhook_id: _Id, delivery_id: _Id) -> Response:
    """Have a message sent again, and show what comes of it."""
    routes.redeliver(visit, webhook_id, delivery_id)
    return _back(webhook_id)


def _list(
    visit: Visit, filled: dict[str, list[str]], problem: PayloadProblem | None = None
) -> Response:
    with visit.reading() as repository:
        webhooks = [webhook_of(row) for row in repository.webhooks()]
    response = page(
        "webhooks.html",
        visit,
        webhooks=webhooks,
        filled=filled,
        problem=problem,
        events=get_args(WebhookEvent),
        formats=get_args(WebhookFormat),
    )
    response.status_code = problem.status if problem else 200
    return response


def _one(
    visit: Visit,
    webhook_id: str,
    *,
    after: str | None = None,
    created: CreatedWebhook | None = None,
) -> Response:
    before = decode("webhook_deliveries", after, DELIVERY_ID) if after else None
    with visit.reading() as repository:
        webhook = webhook_of(repository.webhook(routes.usable(webhook_id)))
        rows = repository.webhook_deliveries(webhook_id, limit=_LISTED + 1, before=before)
        deliveries = [delivery_of(row) for row in rows[:_LISTED]]
    older = encode("webhook_deliveries", deliveries[-1].id) if len(rows) > _LISTED else None
    return page(
        "webhook.html",
        visit,
        webhook=webhook,
        deliveries=deliveries,
        older=older,
        secret=created.secret if created else None,
    )


def _back(webhook_id: str) -> Response:
    return RedirectResponse(f"/webhooks/{webhook_id}", 303)
