"""An app that asks for keys, as tests meet it."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi.testclient import TestClient


@dataclass(frozen=True)
class Doors:
    """An app that asks for keys, and one key of each kind."""

    client: TestClient
    keys: dict[str, str]

    def ask(self, who: str | None, method: str, path: str, **more: Any) -> Any:
        """Send a request with a key, by the name of who has it or as it is."""
        headers = {**more.pop("headers", {})}
        if who is not None:
            headers["Authorization"] = f"Bearer {self.keys.get(who, who)}"
        return self.client.request(method, path, headers=headers, **more)


def digest_header(content: bytes) -> str:
    """Return what `Repr-Digest` and `Content-Digest` say of content."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"
