# Made of aio/inspections.py by scripts/unasync.py: change that one.
"""Looks at data, models and specs before a job: asked, waited for, returned."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal, cast

from stillhouse.errors import StillhouseError
from stillhouse.inspection_bodies import Inspection
from stillhouse.transport import Transport

_WAIT_SECONDS = 20
"""For one answer; the server waits no longer than 30."""
_READ_SECONDS = 60.0
PATIENCE_SECONDS = 900.0


def inspected(  # noqa: PLR0913  # what one question says, by keyword
    transport: Transport,
    method: Literal["GET", "POST"],
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    again: bool = False,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> Inspection:
    """Ask, and wait until a worker has looked.

    Raises:
        ApiError: the question is refused.
        StillhouseError: nobody had looked after `timeout_seconds`; asking again goes on waiting.
    """
    until = time.monotonic() + timeout_seconds
    params: dict[str, str | int] = {"wait": _WAIT_SECONDS} | ({"again": "true"} if again else {})
    headers = {"Content-Type": "application/json"}
    content = json.dumps(body or {}).encode() if method == "POST" else None
    while True:
        answer = transport.request(
            method,
            path,
            params=params,
            headers=headers,
            content=content,
            read_timeout_seconds=_READ_SECONDS,
            repeatable=True,  # the same question is one question
        )
        told = cast("Inspection", answer.json())
        if answer.status_code != HTTPStatus.ACCEPTED:
            return told
        if time.monotonic() > until:
            raise StillhouseError(
                f"{told['id']} is still {told['state']} after {timeout_seconds:g} s; it goes on. "
                "Ask the same again, and see that a worker runs: `stillhouse workers list`"
            )
        method, path, content = "GET", f"/v1/inspections/{told['id']}", None
        params = {"wait": _WAIT_SECONDS}
