"""API keys: how one is made, what it looks like, and what it may do.

    shk_<12 hex: its id>_<64 hex: the secret><8 hex: checksum>

The secret has 256 random bits, so a fast digest keeps it as well as a slow one would. The checksum
lets a mistyped key be told from a wrong one, and scanners find keys that leak.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from enum import StrEnum
from typing import Final, NamedTuple

_KEY: Final = re.compile(r"shk_([0-9a-f]{12})_([0-9a-f]{64})([0-9a-f]{8})")


class Scope(StrEnum):
    """What a key may do; each includes those before it."""

    READ = "read"
    """Look at everything of its project."""
    WRITE = "write"
    """Submit jobs and change them."""
    ADMIN = "admin"
    """Make and revoke keys, and read the audit."""

    def includes(self, other: "Scope") -> bool:
        """Say whether whoever has this scope may do what the other one is asked for."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


class NewKey(NamedTuple):
    """A key at the only moment at which it is known."""

    id: str
    text: str


def new_key() -> NewKey:
    """Return a key that nobody can guess."""
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    head = f"shk_{key_id}_{secret}"
    return NewKey(key_id, head + _checksum(head))


def id_of(text: str) -> str | None:
    """Return the id in a key; None where it cannot be one, as after a slip of the hand."""
    found = _KEY.fullmatch(text)
    if found is None or _checksum(text[:-8]) != found[3]:
        return None
    return found[1]


def digest(text: str) -> str:
    """Return what is kept of a key."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_same(text: str, sha256: str) -> bool:
    """Say whether a key has a digest, in a time that tells nothing."""
    return hmac.compare_digest(digest(text), sha256)


def _checksum(head: str) -> str:
    return f"{zlib.crc32(head.encode()):08x}"
