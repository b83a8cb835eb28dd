"""How a message is written for the wire: by Standard Webhooks, as a CloudEvent, or as OpenAI's."""

import json
from datetime import datetime
from typing import Final

from jobs.database import dump_json
from jobs.webhook_sending import Sending
from jobs.webhook_signing import signatures

_AGENT: Final = "Stillhouse-Webhooks"
_THEIR_WORDS: Final = {
    f"job.{end}": f"fine_tuning.job.{end}" for end in ("succeeded", "failed", "cancelled")
}
"""Events that OpenAI has as well; what it has no word for keeps ours."""


def formed(sending: Sending, now: float) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of one try at `now`, in seconds since 1970.

    A CloudEvent (1.0, in binary mode) says in headers what the body says otherwise, and its body is
    the data alone. OpenAI's event names the job, and no more. All are signed alike.
    """
    headers = {"Content-Type": "application/json", "User-Agent": _AGENT}
    body = sending.body.encode()
    if sending.format == "cloudevents":
        told = json.loads(sending.body)
        body = dump_json(told["data"]).encode()
        headers |= {
            "ce-specversion": "1.0",
            "ce-id": sending.id,
            "ce-source": f"/v1/projects/{sending.project}",
            "ce-type": f"stillhouse.{sending.type}",
            "ce-subject": sending.subject,
            "ce-time": told["timestamp"],
        }
    elif sending.format == "openai":
        told = json.loads(sending.body)
        event = {
            "id": sending.id,
            "object": "event",
            "type": _THEIR_WORDS.get(sending.type, sending.type),
            "created_at": int(datetime.fromisoformat(told["timestamp"]).timestamp()),
            "data": {"id": told["data"]["id"]},
        }
        body = dump_json(event).encode()
    timestamp = int(now)
    return {
        **headers,
        "webhook-id": sending.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures(sending.secrets, sending.id, timestamp, body),
    }, body
