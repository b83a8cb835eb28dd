"""What can go wrong with webhooks; like all of the ledger's errors, without HTTP."""

# ruff: noqa: N818  # the names say what happened, as in `jobs/errors.py`

from jobs.errors import JobError


class WebhookNotFound(JobError):
    """There is no such webhook."""

    code = "webhook_not_found"

    def __init__(self, webhook_id: str) -> None:
        """Name it."""
        super().__init__(
            f"there is no webhook {webhook_id[:80]!r}", hint="GET /v1/webhooks lists the webhooks"
        )


class DeliveryNotFound(JobError):
    """The webhook has no such delivery, or it is kept no more."""

    code = "delivery_not_found"

    def __init__(self, delivery_id: str) -> None:
        """Name it."""
        super().__init__(
            f"there is no delivery {delivery_id[:80]!r} of this webhook",
            hint="GET …/deliveries lists those that are kept",
        )


class WebhookDisabled(JobError):
    """Nothing is sent to it for now."""

    code = "webhook_disabled"

    def __init__(self, webhook_id: str) -> None:
        """Name it."""
        super().__init__(
            f"{webhook_id} is disabled; expected one that is enabled",
            hint='PATCH it with {"enabled": true} first',
        )


class WebhooksFull(JobError):
    """The project has as many webhooks as it may."""

    code = "webhooks_full"

    def __init__(self, most: int) -> None:
        """Say how many it may have."""
        super().__init__(
            f"found {most} webhooks in this project; expected fewer, to add another",
            hint="delete one, or have one told of more events",
        )


class ReceiverRefused(JobError):
    """Nothing is ever sent to this URL from here."""

    code = "url_refused"
