"""The bell: Celery carries a job's id to a worker, and nothing else; without it, a named pipe.

A bell may be lost, doubled, late or forged; it only makes a worker look into the ledger at once
instead of at its next poll.
"""

import logging
import socket
from typing import Any, Final

from celery import Celery
from kombu.entity import Queue

from jobs.doorbell import ring_all
from jobs.settings import Settings

WAKE: Final = "stillhouse.wake"
QUEUE: Final = "stillhouse"
BELL_EXPIRES_SECONDS = 600
# A worker that waits for a bell sends nothing: with the system's own two hours it would stay deaf
# for so long behind a firewall that forgot the connection. macOS knows the first by another name.
_KEEPALIVE: Final[dict[int, int]] = {
    getattr(socket, name): value
    for name, value in {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}.items()
    if hasattr(socket, name)
}

log = logging.getLogger(__name__)


def create_queue(settings: Settings, *, patience_seconds: float = 5.0, again: bool = True) -> Any:
    """Return the Celery app; after the patience a silent broker is given up, or tried `again`."""
    # The host name means nothing to the in-process transport, but without one it complains.
    broker = settings.broker_url if settings.rings else "memory://localhost/"
    app: Any = Celery("stillhouse", broker=broker)
    app.conf.update(
        # The lease covers crashes. Late acknowledgement would only add runs of jobs that still run.
        task_acks_late=False,
        task_reject_on_worker_lost=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # A bell is fetched while a thread is free, whatever became of those before it: counted by
        # acknowledgements, one that a dead link swallowed would keep the worker from listening, and
        # so from noticing that the link is dead.
        worker_prefetch_multiplier=0,
        worker_disable_prefetch=settings.rings,
        worker_enable_prefetch_count_reduction=False,
        # A bell has no answer, and a message must never be able to run code.
        task_ignore_result=True,
        result_backend=None,
        task_serializer="json",
        accept_content=["json"],
        task_queues=[Queue(QUEUE)],
        task_default_queue=QUEUE,
        task_create_missing_queues=False,
        task_publish_retry=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=patience_seconds,
        # Without a socket timeout a half-open connection to Redis is never noticed.
        broker_transport_options={
            "socket_timeout": patience_seconds,
            "socket_connect_timeout": min(patience_seconds, 3.0),
            "socket_keepalive": True,
            "socket_keepalive_options": _KEEPALIVE,
            "health_check_interval": 10,
            "retry_on_timeout": again,
        }
        if settings.rings
        else {},
        # Nobody commands workers over the broker. The subscription that it takes connects anew by
        # itself when a link heals, and then waits for ever, the bells' connection with it.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_max_tasks_per_child=None,
        worker_hijack_root_logger=False,
        enable_utc=True,
    )
    return app


class Bell:
    """Rings workers after a commit."""

    def __init__(self, settings: Settings) -> None:
        """Ring through the broker of the settings, or without one in the data folder."""
        self._bells = settings.bells
        # In-process transport reaches nobody else: ringing there would only pile up messages.
        self._app = (
            create_queue(settings, patience_seconds=1.0, again=False) if settings.rings else None
        )

    def ring(self, job_id: str) -> bool:
        """Ask workers to look for a job now; tell whether the broker, or any of them, heard it.

        Waits about a second at most, and never raises: the workers' poll finds the job anyway.
        """
        if self._app is None:
            return ring_all(self._bells)
        try:
            self._app.send_task(
                WAKE,
                [job_id],
                queue=QUEUE,
                expires=BELL_EXPIRES_SECONDS,
                ignore_result=True,
                retry=False,
            )
        except Exception as error:  # noqa: BLE001  # a broker may fail in any way; the job is safe
            log.warning("the bell for %s was not rung: %s", job_id, type(error).__name__)
            return False
        return True

    def ping(self) -> None:
        """Ask the broker for an answer; without a broker there is nothing to ask.

        Raises:
            kombu.exceptions.OperationalError: it gives none.
        """
        if self._app is not None:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, timeout=1.0)

    def close(self) -> None:
        """Close the connections to the broker."""
        if self._app is not None:
            self._app.close()
