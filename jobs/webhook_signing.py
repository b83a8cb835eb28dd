"""How messages are signed: Standard Webhooks' symmetric scheme, `v1`.

The signature is HMAC-SHA256 over `<id>.<timestamp>.<body>`, whose key is what stands in base64
behind `whsec_`. A receiver takes any of several signatures, so that secrets can be changed.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import Final

_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32


def new_secret() -> str:
    """Return a secret that nobody can guess."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signatures(keys: Iterable[str], message_id: str, timestamp: int, body: bytes) -> str:
    """Return what `webhook-signature` says: one signature for each secret.

    Args:
        keys: the secrets, the newest first.
        message_id: what `webhook-id` says.
        timestamp: of this try, in seconds since 1970.
        body: what is sent, byte for byte.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_signature(key, signed)}" for key in keys)


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
