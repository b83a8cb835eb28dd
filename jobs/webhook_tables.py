"""The tables of webhooks: who wants to hear of what, and what each of them is told."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from jobs.schema import Table

_WAITS = text("next_at IS NOT NULL")


class Webhook(Table):
    """A URL of a project's that is told of events."""

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    project: Mapped[str] = mapped_column(String(63))
    url: Mapped[str]
    description: Mapped[str | None] = mapped_column(String(200))
    events: Mapped[list[str]] = mapped_column(JSON)
    """Types that it is told of."""
    labels: Mapped[dict[str, Any]]
    """Labels that a job must have for it to be told."""
    format: Mapped[str] = mapped_column(String(11))
    secret: Mapped[str] = mapped_column(String(64))
    """What messages are signed with, as it is: a digest could sign nothing."""
    old_secret: Mapped[str | None] = mapped_column(String(64))
    """The one before it, which signs as well until `old_secret_until`."""
    old_secret_until: Mapped[datetime | None]
    created_by: Mapped[str | None] = mapped_column(String(20))
    """Id of the key that posted it."""
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    disabled_for: Mapped[str | None] = mapped_column(String(7))
    """Why: `asked`, `gone` or `failing`."""
    delivered_at: Mapped[datetime | None]
    """When a message last came through."""

    __table_args__ = (
        CheckConstraint("format IN ('standard', 'cloudevents', 'openai')", "format_known"),
        CheckConstraint("disabled_for IN ('asked', 'gone', 'failing')", "reason_known"),
        CheckConstraint("(disabled_at IS NULL) = (disabled_for IS NULL)", "disabled_with_reason"),
        CheckConstraint("(old_secret IS NULL) = (old_secret_until IS NULL)", "old_secret_ends"),
        Index(None, "project", "id"),
    )


class WebhookDelivery(Table):
    """One message for one webhook, from the transaction of its event until it has come through."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(String(30), primary_key=True)
    """The message's id, the same at each try."""
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    type: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(30))
    """Id of the job, sweep or webhook that it is about."""
    body: Mapped[str]
    """JSON, written once, so that it is the same at each try as well."""
    status: Mapped[str] = mapped_column(String(9))
    attempts: Mapped[int] = mapped_column(Integer)
    """The fencing token as well: each claim raises it."""
    tries: Mapped[int] = mapped_column(Integer)
    """Attempts since it was last asked for: the place in the schedule."""
    next_at: Mapped[datetime | None]
    """When it is tried next; while it is tried, when that counts as lost."""
    created_at: Mapped[datetime]
    tried_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    response_code: Mapped[int | None] = mapped_column(Integer)
    """Of the last try, where there was an answer."""
    error: Mapped[str | None] = mapped_column(String(300))
    """Why the last try failed."""

    __table_args__ = (
        CheckConstraint("status IN ('pending', 'delivered', 'failed')", "status_known"),
        CheckConstraint("(status = 'pending') = (next_at IS NOT NULL)", "next_while_pending"),
        CheckConstraint("(status = 'pending') = (ended_at IS NULL)", "end_when_ended"),
        Index(
            "ix_webhook_deliveries_due",
            "webhook_id",
            "next_at",
            sqlite_where=_WAITS,
            postgresql_where=_WAITS,
        ),
        Index(None, "webhook_id", "id"),
        Index(None, "created_at"),
    )
