"""Webhooks: URLs that are told of events, by signed messages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from api.answers import NO_STORE, problems, send
from api.checks import body_schema, checked
from api.dependencies import AdminLedger, SentBody, Visit
from api.pagination import decode, encode
from api.schemas import ListBody
from api.webhooks import (
    CreatedWebhook,
    NewWebhook,
    Rotation,
    Webhook,
    WebhookChange,
    WebhookDelivery,
    check_receiver,
    created_webhook,
    delivery_of,
    webhook_of,
)
from jobs import webhooks as ledger
from jobs.ids import DELIVERY_ID, WEBHOOK_ID
from jobs.webhook_errors import DeliveryNotFound, WebhookNotFound

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_Id = Annotated[str, Path(examples=["whk_01kaz3x2mcf4t6v8y0r2q4s6u8"])]
_DeliveryId = Annotated[str, Path(examples=["msg_01kaz3x2mcf4t6v8y0r2q4s6u8"])]


@router.post(
    "",
    operation_id="create_webhook",
    status_code=201,
    response_model=CreatedWebhook,
    openapi_extra={"requestBody": body_schema(NewWebhook, required=True)},
    responses=problems(409, 413, 415, 422),
)
def create_webhook(visit: AdminLedger, body: SentBody) -> Response:
    """Have a URL told of events; the secret that signs the messages is in this answer alone."""
    created = made(visit, body.document())
    where = {"Location": f"/v1/webhooks/{created.id}"}
    return send(created, 201, headers=NO_STORE | where)


@router.get(
    "", operation_id="list_webhooks", response_model=ListBody[Webhook], responses=problems()
)
def list_webhooks(visit: AdminLedger) -> Response:
    """Return the webhooks of the project, the newest first."""
    with visit.reading() as repository:
        rows = repository.webhooks()
    return send(ListBody[Webhook](data=[webhook_of(row) for row in rows]), headers=NO_STORE)


@router.get(
    "/{webhook_id}",
    operation_id="get_webhook",
    response_model=Webhook,
    responses=problems(404),
)
def get_webhook(visit: AdminLedger, webhook_id: _Id) -> Response:
    """Return one webhook."""
    with visit.reading() as repository:
        row = repository.webhook(usable(webhook_id))
    return send(webhook_of(row), headers=NO_STORE)


@router.patch(
    "/{webhook_id}",
    operation_id="change_webhook",
    response_model=Webhook,
    openapi_extra={"requestBody": body_schema(WebhookChange)},
    responses=problems(404, 413, 415, 422),
)
def change_webhook(visit: AdminLedger, webhook_id: _Id, body: SentBody) -> Response:
    """Change where a webhook leads, what it is told of, and whether it is told at all.

    What waits for one that is disabled waits on, and is sent once it is enabled again.
    """
    return send(changed(visit, webhook_id, body.document()), headers=NO_STORE)


@router.delete(
    "/{webhook_id}",
    operation_id="delete_webhook",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It is gone."}} | problems(404),
)
def delete_webhook(visit: AdminLedger, webhook_id: _Id) -> Response:
    """Remove a webhook, with all that it was and would be told."""
    with visit.writing("webhook.delete", usable(webhook_id)) as repository:
        repository.delete_webhook(webhook_id)
    return Response(status_code=204)


@router.post(
    "/{webhook_id}/test",
    operation_id="test_webhook",
    status_code=202,
    response_model=WebhookDelivery,
    responses=problems(404, 409),
)
def test_webhook(visit: AdminLedger, webhook_id: _Id) -> Response:
    """Have a message of the type `webhook.test` sent; its delivery tells what comes of it."""
    with visit.writing("webhook.test", usable(webhook_id)) as repository:
        told = delivery_of(repository.test_webhook(webhook_id))
    return send(told, 202, headers=NO_STORE)


@router.post(
    "/{webhook_id}/rotate",
    operation_id="rotate_webhook",
    response_model=CreatedWebhook,
    openapi_extra={"requestBody": body_schema(Rotation)},
    responses=problems(404, 413, 415, 422),
)
def rotate_webhook(visit: AdminLedger, webhook_id: _Id, body: SentBody) -> Response:
    """Give a webhook a new secret, which is in this answer alone.

    For a day, or as long as is asked for, messages bear two signatures: of the new and the old one.
    """
    told = rotated(visit, webhook_id, body.document() if body.content else {})
    return send(told, headers=NO_STORE)


@router.get(
    "/{webhook_id}/deliveries",
    operation_id="list_webhook_deliveries",
    response_model=ListBody[WebhookDelivery],
    responses=problems(404, 422),
)
def list_deliveries(
    visit: AdminLedger,
    webhook_id: _Id,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> Response:
    """Return what a webhook was and is told, the newest first, and what came of each message."""
    before = decode("webhook_deliveries", after, DELIVERY_ID) if after is not None else None
    with visit.reading() as repository:
        rows = repository.webhook_deliveries(usable(webhook_id), limit=limit + 1, before=before)
    page = [delivery_of(row) for row in rows[:limit]]
    has_more = len(rows) > limit
    cursor = encode("webhook_deliveries", page[-1].id) if has_more else None
    body = ListBody[WebhookDelivery](data=page, has_more=has_more, next_cursor=cursor)
    return send(body, headers=NO_STORE)


@router.get(
    "/{webhook_id}/deliveries/{delivery_id}",
    operation_id="get_webhook_delivery",
    response_model=WebhookDelivery,
    responses=problems(404),
)
def get_delivery(visit: AdminLedger, webhook_id: _Id, delivery_id: _DeliveryId) -> Response:
    """Return one message, and what came of it."""
    with visit.reading() as repository:
        row = repository.webhook_delivery(usable(webhook_id), _usable_delivery(delivery_id))
    return send(delivery_of(row), headers=NO_STORE)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    operation_id="redeliver_webhook_delivery",
    status_code=202,
    response_model=WebhookDelivery,
    responses=problems(404, 409),
)
def redeliver(visit: AdminLedger, webhook_id: _Id, delivery_id: _DeliveryId) -> Response:
    """Have a message sent now, under the same id, and by the whole schedule again."""
    details = {"delivery": _usable_delivery(delivery_id)}
    with visit.writing("webhook.redeliver", usable(webhook_id), details) as repository:
        told = delivery_of(repository.redeliver(webhook_id, delivery_id))
    return send(told, 202, headers=NO_STORE)


def made(visit: Visit, document: object) -> CreatedWebhook:
    """Store a webhook; this is the one time its secret is told."""
    wanted = checked(NewWebhook, document)
    check_receiver(wanted.url, visit.settings.webhook_allowed)
    author, project = visit.caller.author, visit.caller.project
    new = ledger.NewWebhook(project, created_by=author.key_id, **wanted.model_dump())
    with visit.changing() as repository:
        row = repository.add_webhook(new)
        details = {"events": wanted.events}  # the URL may hold a password of its own
        repository.note(author, "webhook.create", row.id, project=project, details=details)
    return created_webhook(row)


def changed(visit: Visit, webhook_id: str, document: object) -> Webhook:
    """Change a webhook, and note which fields were."""
    usable(webhook_id)
    values = checked(WebhookChange, document).model_dump(exclude_unset=True)
    if "url" in values:
        check_receiver(values["url"], visit.settings.webhook_allowed)
    details = {"fields": sorted(values)}
    enabled = values.pop("enabled", None)
    with visit.writing("webhook.change", webhook_id, details) as repository:
        row = repository.change_webhook(webhook_id, values, enabled=enabled)
    return webhook_of(row)


def rotated(visit: Visit, webhook_id: str, document: object) -> CreatedWebhook:
    """Give a webhook a new secret; this is the one time it is told."""
    usable(webhook_id)
    wanted = checked(Rotation, document)
    details = wanted.model_dump()
    with visit.writing("webhook.rotate", webhook_id, details) as repository:
        return created_webhook(repository.rotate_secret(webhook_id, wanted.overlap_seconds))


def usable(webhook_id: str) -> str:
    """Return the id, if it can be one.

    Raises:
        WebhookNotFound: no webhook could have such an id.
    """
    if not WEBHOOK_ID.fullmatch(webhook_id):
        raise WebhookNotFound(webhook_id)
    return webhook_id


def _usable_delivery(delivery_id: str) -> str:
    if not DELIVERY_ID.fullmatch(delivery_id):
        raise DeliveryNotFound(delivery_id)
    return delivery_id
