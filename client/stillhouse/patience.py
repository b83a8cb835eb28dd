"""What is asked again, and when: the rules that both clients wait by."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

RETRIED_STATUS = frozenset({429, 502, 503, 504})
"""Answers that say: not now. Everything else is an answer."""
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 10.0


class Patience:
    """One budget of seconds for one thing; refilled by `progress`."""

    def __init__(self, seconds: float) -> None:
        """Start the clock."""
        self._seconds = seconds
        self.progress()

    def progress(self) -> None:
        """Something came through: full patience again, short delays again."""
        self._until = time.monotonic() + self._seconds
        self._delay = _FIRST_DELAY_SECONDS

    def delay(self, at_least: float = 0.0) -> float | None:
        """Seconds to sleep before the next try, with back-off and jitter; None: no time is left.

        Args:
            at_least: what the server asked for in `Retry-After`, in seconds.
        """
        left = self._until - time.monotonic()
        # Jitter: clients that lost one server together must not come back together.
        delay = max(self._delay * random.uniform(0.7, 1.3), at_least)  # noqa: S311
        if delay > left:
            return None
        self._delay = min(self._delay * 2, _LONGEST_DELAY_SECONDS)
        return delay


def may_repeat(request: httpx.Request) -> bool:
    """Whether sending a request twice is the same as sending it once, by what it is."""
    return request.method in _SAFE_METHODS or "idempotency-key" in request.headers


def said(error: Exception) -> str:
    """What an exception says, or at least its name."""
    return str(error).rstrip(".") or type(error).__name__


def retry_after_seconds(response: httpx.Response) -> float:
    """The `Retry-After` of a response in seconds from now, 0 without one."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdecimal():
        return float(value)
    with suppress(ValueError):
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    return 0.0
