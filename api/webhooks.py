"""Webhooks as they are asked for, and as they are told."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from api.checks import Sent
from api.problems import PayloadProblem
from api.schemas import Body, FieldError
from jobs import tables
from jobs.outbox import WebhookEvent
from jobs.receivers import MOST_CHARACTERS, Allowed, addresses_of, receiver_of
from jobs.spec import MAX_LABELS, LabelKey, LabelValue
from jobs.webhook_errors import ReceiverRefused
from jobs.webhooks import OVERLAP_SECONDS, WebhookFormat


def _distinct(events: list[WebhookEvent]) -> list[WebhookEvent]:
    return list(dict.fromkeys(events))


Url = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS)]
Description = Annotated[str, Field(max_length=200)]
Events = Annotated[
    list[WebhookEvent], Field(min_length=1, max_length=50), AfterValidator(_distinct)
]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=MAX_LABELS)]


class NewWebhook(Sent):
    """What a new webhook is to be."""

    url: Url
    """Where messages are posted to: https, of the public internet or of the operator's list."""
    description: Description | None = None
    events: Events = ["job.succeeded", "job.failed", "job.cancelled"]
    """What it is told of."""
    labels: Labels = {}
    """Labels that a job must have for it to be told; with any, it is told of no sweep."""
    format: WebhookFormat = "standard"
    """`standard` is the whole message in the body; `cloudevents` has its data alone there, and the
    rest in the headers of CloudEvents' binary mode; `openai` is an event as OpenAI sends it, such
    as `fine_tuning.job.succeeded`, which names the job alone. All are signed alike."""


class WebhookChange(Sent):
    """What becomes different of a webhook; what is left out stays as it is."""

    url: Url = Field(default_factory=str)
    description: Description | None = None
    events: Events = Field(default_factory=list[WebhookEvent])
    labels: Labels = Field(default_factory=dict[LabelKey, LabelValue])
    """All of them anew."""
    format: WebhookFormat = Field(default_factory=lambda: "standard")
    enabled: bool = Field(default_factory=bool)
    """Without it nothing is sent, and what happens meanwhile is not told."""


class Rotation(Sent):
    """How a secret is replaced."""

    overlap_seconds: Annotated[int, Field(ge=0, le=604_800)] = OVERLAP_SECONDS
    """How long the old secret signs beside the new one; 0 where it has leaked."""


class Webhook(Body):
    """A URL that is told of events, without its secret."""

    id: str
    object: Literal["webhook"] = "webhook"
    project: str
    url: str
    description: str | None
    events: list[str]
    labels: dict[str, str]
    format: WebhookFormat
    enabled: bool
    disabled_for: Literal["asked", "gone", "failing"] | None
    """Somebody wanted it, it answered 410, or nothing came through for three days."""
    disabled_at: datetime | None
    delivered_at: datetime | None
    """When a message last came through."""
    old_secret_until: datetime | None
    """Until when messages bear a signature of the secret before this one as well."""
    created_at: datetime
    created_by: str | None
    """Id of the key that posted it."""


class CreatedWebhook(Webhook):
    """A webhook at the only moment at which its secret is told."""

    secret: str
    """What its messages are signed with, `whsec_…`; whoever loses it has it rotated."""


class WebhookDelivery(Body):
    """One message for one webhook."""

    id: str
    """What the header `webhook-id` says, at each try."""
    object: Literal["webhook_delivery"] = "webhook_delivery"
    webhook: str
    type: str
    subject: str
    """Id of the job, sweep or webhook that it is about."""
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    response_code: int | None
    """Of the last try, where there was an answer."""
    error: str | None
    """Why the last try failed."""
    created_at: datetime
    tried_at: datetime | None
    next_at: datetime | None
    """When it is tried next; while it is tried, when that counts as lost."""
    ended_at: datetime | None


def webhook_of(row: tables.Webhook) -> Webhook:
    """Return a webhook as it is told."""
    told = {name: getattr(row, name) for name in Webhook.model_fields if hasattr(row, name)}
    return Webhook.model_validate({**told, "enabled": row.disabled_at is None})


def created_webhook(row: tables.Webhook) -> CreatedWebhook:
    """Return a webhook with its secret."""
    return CreatedWebhook.model_validate({**webhook_of(row).model_dump(), "secret": row.secret})


def delivery_of(row: tables.WebhookDelivery) -> WebhookDelivery:
    """Return a message as it is told."""
    told = {name: getattr(row, name) for name in WebhookDelivery.model_fields if hasattr(row, name)}
    return WebhookDelivery.model_validate({**told, "webhook": row.webhook_id})


def check_receiver(url: str, allowed: Allowed) -> None:
    """Check that messages may go to a URL, as it is resolved now; each try looks again.

    Raises:
        PayloadProblem: they may not.
    """
    try:
        addresses_of(receiver_of(url), allowed)
    except ReceiverRefused as refused:
        error = FieldError(
            pointer="/url", code=refused.code, message=str(refused), hint=refused.hint
        )
        raise PayloadProblem([error], code=refused.code) from None
