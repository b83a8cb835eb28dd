"""Webhooks in the ledger: made, changed, given new secrets, and what each was told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import delete, func, insert, select, update

from jobs.ids import new_id
from jobs.journal import Journal
from jobs.moments import clock
from jobs.outbox import note_test
from jobs.tables import Webhook, WebhookDelivery
from jobs.webhook_errors import (
    DeliveryNotFound,
    WebhookDisabled,
    WebhookNotFound,
    WebhooksFull,
)
from jobs.webhook_signing import new_secret

MOST_WEBHOOKS: Final = 20
"""Of one project."""
OVERLAP_SECONDS: Final = 86_400
"""How long an old secret signs beside the new one. A day."""
WebhookFormat = Literal["standard", "cloudevents", "openai"]


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook that is not stored yet."""

    project: str
    url: str
    events: Sequence[str]
    description: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    format: WebhookFormat = "standard"
    created_by: str | None = None


class Webhooks(Journal):
    """What is told and asked of webhooks; bound to a project, only of its own."""

    def add_webhook(self, new: NewWebhook) -> Webhook:
        """Store a webhook with a secret of its own, which the row holds.

        Raises:
            WebhooksFull: the project has as many as it may.
        """
        theirs = select(func.count()).where(Webhook.project == new.project)
        if (self._session.scalar(theirs) or 0) >= MOST_WEBHOOKS:
            raise WebhooksFull(MOST_WEBHOOKS)
        webhook_id = new_id("whk")
        self._connection.execute(
            insert(Webhook).values(
                id=webhook_id,
                project=new.project,
                url=new.url,
                description=new.description,
                events=list(new.events),
                labels=dict(new.labels),
                format=new.format,
                secret=new_secret(),
                created_by=new.created_by,
                created_at=clock(),
            )
        )
        return self.webhook(webhook_id)

    def webhook(self, webhook_id: str) -> Webhook:
        """Return a webhook.

        Raises:
            WebhookNotFound: there is none.
        """
        row = self._session.get(Webhook, webhook_id, populate_existing=True)
        if row is None or self._project not in {None, row.project}:
            raise WebhookNotFound(webhook_id)
        return row

    def webhooks(self) -> Sequence[Webhook]:
        """Return the webhooks, the newest first."""
        rows = select(Webhook).order_by(Webhook.id.desc())
        if self._project is not None:
            rows = rows.where(Webhook.project == self._project)
        return self._session.scalars(rows).all()

    def change_webhook(
        self, webhook_id: str, values: Mapping[str, Any], *, enabled: bool | None = None
    ) -> Webhook:
        """Change a webhook's columns, or have it told nothing for now, or something again.

        What waits for one that is disabled waits on; what happens meanwhile it is not told.

        Raises:
            WebhookNotFound: there is none.
        """
        self.webhook(webhook_id)
        columns = dict(values)
        if enabled is True:
            columns |= {"disabled_at": None, "disabled_for": None}
        elif enabled is False:
            columns["disabled_at"] = func.coalesce(Webhook.disabled_at, clock())
            columns["disabled_for"] = func.coalesce(Webhook.disabled_for, "asked")
        if columns:
            this = Webhook.id == webhook_id
            self._connection.execute(update(Webhook).where(this).values(**columns))
        return self.webhook(webhook_id)

    def rotate_secret(self, webhook_id: str, overlap_seconds: float = OVERLAP_SECONDS) -> Webhook:
        """Give a webhook a new secret; the old one signs beside it for a while, or not at all.

        Raises:
            WebhookNotFound: there is none.
        """
        self.webhook(webhook_id)
        stays = overlap_seconds > 0
        values = {
            "secret": new_secret(),
            "old_secret": Webhook.secret if stays else None,
            "old_secret_until": clock(overlap_seconds) if stays else None,
        }
        self._connection.execute(update(Webhook).where(Webhook.id == webhook_id).values(**values))
        return self.webhook(webhook_id)

    def delete_webhook(self, webhook_id: str) -> None:
        """Remove a webhook, and all that is known of what it was told.

        Raises:
            WebhookNotFound: there is none.
        """
        self.webhook(webhook_id)
        self._connection.execute(delete(Webhook).where(Webhook.id == webhook_id))

    def test_webhook(self, webhook_id: str) -> WebhookDelivery:
        """Have a message sent that only shows that messages arrive.

        Raises:
            WebhookNotFound: there is none.
            WebhookDisabled: nothing is sent to it.
        """
        self._require_enabled(webhook_id)
        return self.webhook_delivery(webhook_id, note_test(self._connection, webhook_id))

    def webhook_deliveries(
        self, webhook_id: str, *, limit: int, before: str | None = None
    ) -> Sequence[WebhookDelivery]:
        """Return what a webhook was and is told, the newest first, in front of the id `before`.

        Raises:
            WebhookNotFound: there is none.
        """
        self.webhook(webhook_id)
        rows = select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)
        if before is not None:
            rows = rows.where(WebhookDelivery.id < before)
        return self._session.scalars(rows.order_by(WebhookDelivery.id.desc()).limit(limit)).all()

    def webhook_delivery(self, webhook_id: str, delivery_id: str) -> WebhookDelivery:
        """Return one message of a webhook.

        Raises:
            WebhookNotFound: there is no such webhook.
            DeliveryNotFound: it has no such message.
        """
        self.webhook(webhook_id)
        row = self._session.get(WebhookDelivery, delivery_id, populate_existing=True)
        if row is None or row.webhook_id != webhook_id:
            raise DeliveryNotFound(delivery_id)
        return row

    def redeliver(self, webhook_id: str, delivery_id: str) -> WebhookDelivery:
        """Have a message sent now, under the same id, and by the whole schedule again.

        Raises:
            WebhookNotFound: there is no such webhook.
            DeliveryNotFound: it has no such message.
            WebhookDisabled: nothing is sent to it.
        """
        self._require_enabled(webhook_id)
        self.webhook_delivery(webhook_id, delivery_id)
        self._connection.execute(
            update(WebhookDelivery)
            .where(WebhookDelivery.id == delivery_id)
            .values(status="pending", tries=0, next_at=clock(), ended_at=None)
        )
        return self.webhook_delivery(webhook_id, delivery_id)

    def _require_enabled(self, webhook_id: str) -> None:
        if self.webhook(webhook_id).disabled_at is not None:
            raise WebhookDisabled(webhook_id)
