"""Messages on their way: claimed by one process at a time, delivered, or tried again later.

A claim moves the moment of the next try to when this one counts as lost, so a process that is
killed in between leaves a message that is due again; its id, and its body, stay the same.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, select, update

from jobs.moments import clock
from jobs.retention import DAY_SECONDS
from jobs.tables import Webhook, WebhookDelivery
from jobs.tallies import WEBHOOK, tally
from jobs.webhooks import Webhooks

WAITS_SECONDS: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Before each try but the first, as Standard Webhooks has it; three days in all."""
MOST_WAIT_SECONDS: Final = 86_400.0
"""Longest wait that a receiver may ask for."""
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Sending:
    """A message that is now this process's to send."""

    id: str
    attempt: int
    """The fencing token as well."""
    tries: int
    webhook_id: str
    project: str
    url: str
    format: str
    type: str
    subject: str
    body: str
    secrets: Sequence[str] = field(repr=False)
    """The newest first."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one try."""

    code: int | None = None
    """Of the answer, if there was one."""
    error: str | None = None
    """None where it has come through."""
    retry_after: float | None = None
    """Seconds that the receiver wants to be left alone."""


class WebhookSending(Webhooks):
    """Statements of whoever sends; any number may do so at once."""

    def due_webhooks(self) -> Sequence[str]:
        """Return the webhooks for which a message is due."""
        due = select(WebhookDelivery.id).where(
            WebhookDelivery.webhook_id == Webhook.id, WebhookDelivery.next_at <= clock()
        )
        rows = select(Webhook.id).where(Webhook.disabled_at.is_(None), due.exists())
        return self._session.scalars(rows).all()

    def claim_delivery(self, webhook_id: str, lease_seconds: float) -> Sending | None:
        """Take the message of a webhook that has been due for the longest time, if any."""
        one = WebhookDelivery
        best = (
            select(one.id)
            .where(one.webhook_id == webhook_id, one.next_at <= clock())
            .order_by(one.next_at, one.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        columns = (Webhook.project, Webhook.url, Webhook.format, Webhook.secret)
        old = select(Webhook.old_secret).where(
            Webhook.id == webhook_id, Webhook.old_secret_until > clock()
        )
        found = self._session.execute(
            select(*columns, old.scalar_subquery()).where(
                Webhook.id == webhook_id, Webhook.disabled_at.is_(None)
            )
        ).one_or_none()
        if found is None:
            return None
        claimed = self._connection.execute(
            update(one)
            .where(one.id == best.scalar_subquery())
            .values(
                attempts=one.attempts + 1,
                tries=one.tries + 1,
                tried_at=clock(),
                next_at=clock(lease_seconds),
            )
            .returning(one.id, one.attempts, one.tries, one.type, one.subject, one.body)
        ).one_or_none()
        if claimed is None:
            return None
        project, url, form, secret, old_secret = found
        delivery_id, attempt, tries, kind, subject, body = claimed
        return Sending(
            delivery_id,
            attempt,
            tries,
            webhook_id,
            project,
            url,
            form,
            kind,
            subject,
            body,
            [secret, old_secret] if old_secret else [secret],
        )

    def finish_delivery(self, sending: Sending, sent: Sent) -> str | None:
        """Write down what came of a try; return why the webhook is disabled by it, if it is.

        Where somebody else has claimed the message meanwhile, nothing is written.
        """
        this = Webhook.id == sending.webhook_id
        # In the order in which a webhook is deleted: itself first, then its messages.
        if sent.error is None:
            self._connection.execute(update(Webhook).where(this).values(delivered_at=clock()))
            self._end_message(sending, sent, "delivered")
            return None
        locked = select(Webhook.delivered_at).where(this).with_for_update(key_share=True)
        found = self._session.execute(locked).one_or_none()
        if found is None:
            return None
        is_last = sending.tries > len(WAITS_SECONDS)
        if sent.code != _GONE and not is_last:
            self._try_again(sending, sent)
            return None
        created_at = self._end_message(sending, sent, "failed")
        if created_at is None:
            return None
        if sent.code == _GONE:
            reason = "gone"
        elif found.delivered_at is None or found.delivered_at < created_at:
            reason = "failing"
        else:
            return None
        enabled = Webhook.disabled_at.is_(None)
        values = {"disabled_at": clock(), "disabled_for": reason}
        disabled = update(Webhook).where(this, enabled).values(**values).returning(Webhook.id)
        return reason if self._connection.scalar(disabled) else None

    def pending_deliveries(self) -> int:
        """Return how many messages are on their way, or wait for a webhook to be enabled."""
        pending = select(func.count()).where(WebhookDelivery.next_at.is_not(None))
        return self._session.scalar(pending) or 0

    def forget_deliveries(self, days: float, limit: int) -> Sequence[str]:
        """Remove some old messages that nobody sends any more, and return their ids.

        Secrets that sign no more go as well.
        """
        over = Webhook.old_secret_until < clock()
        gone = {"old_secret": None, "old_secret_until": None}
        self._connection.execute(update(Webhook).where(over).values(**gone))
        disabled = select(Webhook.id).where(Webhook.disabled_at.is_not(None))
        due = (
            select(WebhookDelivery.id)
            .where(
                WebhookDelivery.created_at < clock(-days * DAY_SECONDS),
                WebhookDelivery.next_at.is_(None) | WebhookDelivery.webhook_id.in_(disabled),
            )
            .order_by(WebhookDelivery.created_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        old = delete(WebhookDelivery).where(WebhookDelivery.id.in_(due))
        return self._connection.scalars(old.returning(WebhookDelivery.id)).all()

    def _end_message(self, sending: Sending, sent: Sent, status: str) -> datetime | None:
        values = {"status": status, "next_at": None, "ended_at": clock()}
        return self._write_try(sending, sent, status, values)

    def _try_again(self, sending: Sending, sent: Sent) -> None:
        # Not all at the same moment, once a receiver is back.
        wait = WAITS_SECONDS[sending.tries - 1] * random.uniform(0.9, 1.1)  # noqa: S311  # no secret
        wait = max(wait, min(sent.retry_after or 0.0, MOST_WAIT_SECONDS))
        self._write_try(sending, sent, "retried", {"next_at": clock(wait)})

    def _write_try(
        self, sending: Sending, sent: Sent, outcome: str, values: Mapping[str, Any]
    ) -> datetime | None:
        """Write what came of a try and count it; return when the message was made."""
        one = WebhookDelivery
        told = self._connection.execute(
            update(one)
            .where(
                one.id == sending.id,
                one.attempts == sending.attempt,
                one.next_at.is_not(None),
            )
            .values(response_code=sent.code, error=sent.error, **values)
            .returning(one.created_at, clock())
        ).one_or_none()
        if told is None:
            return None
        created_at, now = told
        tally(self._connection, WEBHOOK, (now - created_at).total_seconds(), outcome)
        return created_at
