"""Webhooks for tests that care about messages and not about who made them."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select, update
from waiting import wait_until

from jobs.database import Database
from jobs.messenger import Messenger
from jobs.moments import clock
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.tables import Webhook, WebhookDelivery
from jobs.webhooks import NewWebhook

ALL = [
    *("job.queued", "job.started", "job.paused", "job.resumed", "job.retried", "job.succeeded"),
    *("job.gates_missed", "job.failed", "job.cancelled", "job.purged"),
    *("sweep.completed", "sweep.cancelled"),
]


def hook(database: Database, url: str = "http://127.0.0.1:9/", **fields: Any) -> Webhook:
    """Store a webhook that is told of everything, unless it is told otherwise."""
    project = fields.pop("project", "default")
    events = fields.pop("events", ALL)
    with database.write() as session:
        return Repository(session).add_webhook(NewWebhook(project, url, events, **fields))


def messages(database: Database, webhook_id: str | None = None) -> list[WebhookDelivery]:
    """Return the messages of a webhook, or of all, the first one first."""
    rows = select(WebhookDelivery).order_by(WebhookDelivery.id)
    if webhook_id is not None:
        rows = rows.where(WebhookDelivery.webhook_id == webhook_id)
    with database.read() as session:
        return [*session.scalars(rows)]


def told(database: Database, webhook_id: str | None = None) -> list[dict[str, Any]]:
    """Return what the messages say."""
    return [json.loads(one.body) for one in messages(database, webhook_id)]


def types(database: Database, webhook_id: str | None = None) -> list[str]:
    """Return the types of the messages."""
    return [one.type for one in messages(database, webhook_id)]


def hook_now(database: Database, webhook_id: str) -> Webhook:
    """Return a webhook as it is now."""
    with database.read() as session:
        return Repository(session).webhook(webhook_id)


def wait_of(database: Database) -> float:
    """Return how many seconds lie between the last try of the only message and its next."""
    (one,) = messages(database)
    assert one.next_at is not None
    assert one.tried_at is not None
    return (one.next_at - one.tried_at).total_seconds()


def change_messages(database: Database, **values: Any) -> None:
    """Change all messages, as time would."""
    with database.write() as session:
        session.execute(update(WebhookDelivery).values(**values))


def make_due(database: Database) -> None:
    """Have all messages that wait be due now."""
    with database.write() as session:
        waits = WebhookDelivery.next_at.is_not(None)
        session.execute(update(WebhookDelivery).where(waits).values(next_at=clock(-1)))


@contextmanager
def messaging(settings: Settings, database: Database, **options: Any) -> Generator[Messenger]:
    """Run a messenger."""
    one = Messenger(settings, database, **options)
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        yield one
    finally:
        one.stop(10.0)
        thread.join()


def ended(database: Database) -> list[tuple[str, int | None]]:
    """Wait until no message waits to be tried at once; return what became of them."""

    def all_tried() -> bool:
        return all(row.tried_at and (row.ended_at or row.error) for row in messages(database))

    wait_until(all_tried)
    return [(row.status, row.response_code) for row in messages(database)]
