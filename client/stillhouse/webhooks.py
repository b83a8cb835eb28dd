# Made of aio/webhooks.py by scripts/unasync.py: change that one.
"""Webhooks, as calls: URLs that are told of events, by signed messages."""

from __future__ import annotations

import builtins
import time
from collections.abc import Mapping
from typing import Any, Unpack, cast
from urllib.parse import quote

from stillhouse.errors import WaitTimedOut
from stillhouse.transport import Transport
from stillhouse.webhook_bodies import (
    CreatedWebhook,
    Webhook,
    WebhookChange,
    WebhookDelivery,
    WebhookDeliveryPage,
    WebhookTraits,
)

_ALL = "/v1/webhooks"
_LOOK_SECONDS = 0.3


class Webhooks:
    """The webhooks of one project; `Client.webhooks`. They take a key of the scope admin."""

    def __init__(self, transport: Transport) -> None:
        """Speak over a client's connection."""
        self._transport = transport

    def create(self, url: str, **traits: Unpack[WebhookTraits]) -> CreatedWebhook:
        """Have a URL told of events; `secret` in the answer is told once.

        Raises:
            ApiError: nothing is sent to this URL (422 `url_refused`), or the project has as many
                webhooks as it may (409).
        """
        return cast("CreatedWebhook", self._post(_ALL, {"url": url, **traits}))

    def list(self) -> builtins.list[Webhook]:
        """All of them, the newest first."""
        found: Any = self._transport.get(_ALL)
        return cast("builtins.list[Webhook]", found["data"])

    def get(self, webhook_id: str) -> Webhook:
        """One of them."""
        return cast("Webhook", self._transport.get(_one(webhook_id)))

    def change(self, webhook_id: str, **changes: Unpack[WebhookChange]) -> Webhook:
        """Change it; what is not named stays as it is."""
        return cast("Webhook", self._transport.send("PATCH", _one(webhook_id), changes))

    def delete(self, webhook_id: str) -> None:
        """Remove it, with all that it was and would be told."""
        self._transport.request("DELETE", _one(webhook_id))

    def rotate(self, webhook_id: str, *, overlap_seconds: int | None = None) -> CreatedWebhook:
        """Give it a new secret, which is told once; the old one signs as well for a day.

        Args:
            webhook_id: which one.
            overlap_seconds: for how long instead; 0 where the old one has leaked.
        """
        wanted = {} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}
        return cast("CreatedWebhook", self._post(f"{_one(webhook_id)}/rotate", wanted))

    def test(self, webhook_id: str) -> WebhookDelivery:
        """Have a message sent that only shows that messages arrive; `wait` for what comes of it."""
        return cast("WebhookDelivery", self._post(f"{_one(webhook_id)}/test", None))

    def deliveries(
        self, webhook_id: str, *, after: str | None = None, limit: int = 50
    ) -> WebhookDeliveryPage:
        """One page of what it was and is told, the newest first, and what came of each message."""
        wanted: dict[str, str | int] = {"limit": limit} | ({"after": after} if after else {})
        path = f"{_one(webhook_id)}/deliveries"
        page = self._transport.request("GET", path, params=wanted)
        return cast("WebhookDeliveryPage", page.json())

    def delivery(self, webhook_id: str, delivery_id: str) -> WebhookDelivery:
        """One message."""
        path = _delivery(webhook_id, delivery_id)
        return cast("WebhookDelivery", self._transport.get(path))

    def redeliver(self, webhook_id: str, delivery_id: str) -> WebhookDelivery:
        """Have a message sent now, under the same id."""
        path = f"{_delivery(webhook_id, delivery_id)}/redeliver"
        return cast("WebhookDelivery", self._post(path, None))

    def wait(
        self, webhook_id: str, delivery_id: str, *, timeout_seconds: float = 30.0
    ) -> WebhookDelivery:
        """Wait until a message has come through, or a try has failed, and return it.

        Raises:
            WaitTimedOut: it was not tried in that time.
        """
        until = time.monotonic() + timeout_seconds
        while True:
            one = self.delivery(webhook_id, delivery_id)
            if one["status"] != "pending" or one["error"] is not None:
                return one
            if time.monotonic() >= until:
                raise WaitTimedOut(delivery_id, one["status"], timeout_seconds)
            time.sleep(_LOOK_SECONDS)

    def _post(self, path: str, body: Mapping[str, Any] | None) -> object:
        return self._transport.send("POST", path, body)


def _one(webhook_id: str) -> str:
    return f"{_ALL}/{quote(webhook_id, safe='')}"


def _delivery(webhook_id: str, delivery_id: str) -> str:
    return f"{_one(webhook_id)}/deliveries/{quote(delivery_id, safe='')}"
