"""The messenger: sends what is due to webhooks, from threads of its own.

Each webhook is served by one thread at a time, and whoever was served the longest time ago is next:
a receiver that answers slowly, or never, takes one thread for one message, and no transaction.
"""

import logging
import time
from functools import partial
from typing import Final

from jobs.database import Database
from jobs.receivers import addresses_of, receiver_of
from jobs.repository import Repository
from jobs.rounds import Rounds
from jobs.settings import Settings
from jobs.webhook_errors import ReceiverRefused
from jobs.webhook_form import formed
from jobs.webhook_post import post
from jobs.webhook_sending import Sending, Sent

POST_SECONDS: Final = 15.0
"""How long one try may take."""
LEASE_SECONDS: Final = 90.0
"""When a try counts as lost: a name may take long to resolve, beside the POST."""
THREADS: Final = 8
"""Webhooks that are served at a time."""
TURN_SECONDS: Final = 2.0
"""A webhook with much to be told makes room for others after this, between two messages."""

log = logging.getLogger(__name__)


class Messenger(Rounds):
    """Any number of them may run: what one has claimed, the others leave alone."""

    def __init__(
        self, settings: Settings, database: Database, *, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        """Send nothing yet."""
        super().__init__("messenger")
        self._allowed = settings.webhook_allowed
        self._database = database
        self._lease_seconds = lease_seconds
        self._served: dict[str, float] = {}

    def look(self) -> None:
        """Begin to serve webhooks for which something is due, as far as there are threads.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away.
        """
        with self._database.read() as session:
            due = Repository(session).due_webhooks()
        at_work = self._at_work()
        self._served = {one: self._served.get(one, 0.0) for one in [*due, *at_work]}
        waiting = sorted(set(due) - at_work, key=self._served.__getitem__)
        for webhook_id in waiting[: THREADS - len(at_work)]:
            self._served[webhook_id] = time.monotonic()
            self._serve(webhook_id, partial(self._take_turn, webhook_id))

    def _take_turn(self, webhook_id: str) -> None:
        until = time.monotonic() + TURN_SECONDS
        while not self._stop.is_set():
            with self._database.write() as session:
                sending = Repository(session).claim_delivery(webhook_id, self._lease_seconds)
            if sending is None:
                return
            sent = self._send(sending)
            if self._left.is_set():
                return  # the database may be closed by now
            with self._database.write() as session:
                disabled = Repository(session).finish_delivery(sending, sent)
            if sent.error is not None:
                log.info("%s did not come through to %s: %s", sending.id, webhook_id, sent.error)
            if disabled is not None:
                log.warning("%s is disabled: %s", webhook_id, disabled)
            if time.monotonic() >= until:
                return

    def _send(self, sending: Sending) -> Sent:
        try:
            receiver = receiver_of(sending.url)
            addresses = addresses_of(receiver, self._allowed)
        except ReceiverRefused as error:
            return Sent(error=str(error)[:300])
        headers, body = formed(sending, time.time())
        return post(receiver, addresses, headers, body, POST_SECONDS)
