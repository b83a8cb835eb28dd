"""The shapes of what the API takes and answers about webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

WebhookFormat = Literal["standard", "cloudevents", "openai"]


class Webhook(TypedDict):
    """A URL that is told of events, without its secret."""

    id: str
    object: Literal["webhook"]
    project: str
    url: str
    description: str | None
    events: list[str]
    labels: dict[str, str]
    format: WebhookFormat
    enabled: bool
    disabled_for: Literal["asked", "gone", "failing"] | None
    disabled_at: str | None
    delivered_at: str | None
    old_secret_until: str | None
    created_at: str
    created_by: str | None


class CreatedWebhook(Webhook):
    """A webhook at the only moment at which its secret is told."""

    secret: str


class WebhookDelivery(TypedDict):
    """One message for one webhook."""

    id: str
    object: Literal["webhook_delivery"]
    webhook: str
    type: str
    subject: str
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    response_code: int | None
    error: str | None
    created_at: str
    tried_at: str | None
    next_at: str | None
    ended_at: str | None


class WebhookDeliveryPage(TypedDict):
    """One page of messages, the newest first."""

    object: Literal["list"]
    data: list[WebhookDelivery]
    has_more: bool
    next_cursor: str | None


class WebhookTraits(TypedDict, total=False):
    """What can be said of a webhook beside its URL; the server has defaults for all of it."""

    description: str | None
    events: Sequence[str]
    labels: Mapping[str, str]
    format: WebhookFormat


class WebhookChange(WebhookTraits, total=False):
    """What can be changed of a webhook."""

    url: str
    enabled: bool
