# Made of aio/sweeps.py by scripts/unasync.py: change that one.
"""Sweeps, as calls: many trials of one spec, and the search for a student."""

from __future__ import annotations

import builtins
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast
from urllib.parse import quote

from stillhouse.errors import WaitTimedOut
from stillhouse.sweep_bodies import Leaderboard, Sweep, SweepPage, SweepPlan
from stillhouse.transport import Transport

_ALL = "/v1/sweeps"
_PAGE = 200
_LOOK_SECONDS = 2.0


class Sweeps:
    """The sweeps of one server; `Client.sweeps`."""

    def __init__(self, transport: Transport) -> None:
        """Speak over a client's connection."""
        self._transport = transport

    def create(self, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> Sweep:
        """Create a sweep: `spec`, `space`, and how they are tried.

        The same key with the same body answers with the same sweep.

        Raises:
            ApiError: a point is no spec (422): `errors` say which one, and where.
        """
        return cast("Sweep", self._post(_ALL, body, idempotency_key))

    def plan(self, body: Mapping[str, Any]) -> SweepPlan:
        """What `create` would try; nothing is stored."""
        return cast("SweepPlan", self._post(f"{_ALL}?dry_run=true", body))

    def find(self, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> Sweep:
        """Create a sweep over students: `spec` without a student, and `limits`.

        Raises:
            ApiError: no known network keeps the limits (422).
        """
        return cast("Sweep", self._post(f"{_ALL}/students", body, idempotency_key))

    def plan_of_find(self, body: Mapping[str, Any]) -> SweepPlan:
        """What `find` would try; nothing is stored."""
        return cast("SweepPlan", self._post(f"{_ALL}/students?dry_run=true", body))

    def list(self) -> builtins.list[Sweep]:
        """All of them, the newest first."""
        found: builtins.list[Sweep] = []
        wanted: dict[str, str | int | None] = {"limit": _PAGE}
        while True:
            page = cast("SweepPage", self._transport.get(_ALL, wanted))
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            wanted["after"] = page["next_cursor"]

    def get(self, sweep_id: str) -> Sweep:
        """One of them."""
        return cast("Sweep", self._transport.get(_one(sweep_id)))

    def leaderboard(self, sweep_id: str) -> Leaderboard:
        """Its points, the best first."""
        path = f"{_one(sweep_id)}/leaderboard"
        return cast("Leaderboard", self._transport.get(path))

    def cancel(self, sweep_id: str, *, mode: Literal["graceful", "now"] = "graceful") -> Sweep:
        """Begin no more trials, and cancel those that wait or run."""
        return cast("Sweep", self._post(f"{_one(sweep_id)}/cancel", {"mode": mode}))

    def resume(self, sweep_id: str, *, budget_seconds: int | None = None) -> Sweep:
        """Go on with one that was cancelled, or that has spent its budget: with a larger one."""
        body = None if budget_seconds is None else {"budget": {"seconds": budget_seconds}}
        return cast("Sweep", self._post(f"{_one(sweep_id)}/resume", body))

    def wait(
        self,
        sweep_id: str,
        *,
        timeout_seconds: float | None = None,
        seen: Callable[[Sweep], None] | None = None,
    ) -> Sweep:
        """Wait until it goes on no more, and return it; `seen` is told it every two seconds.

        Raises:
            WaitTimedOut: it still went on after `timeout_seconds`.
        """
        until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            sweep = self.get(sweep_id)
            if seen is not None:
                seen(sweep)
            if sweep["status"] != "running":
                return sweep
            if until is not None and time.monotonic() >= until:
                raise WaitTimedOut(sweep_id, sweep["status"], timeout_seconds or 0.0)
            left = _LOOK_SECONDS if until is None else until - time.monotonic()
            time.sleep(max(0.0, min(_LOOK_SECONDS, left)))

    def _post(self, path: str, body: Mapping[str, Any] | None, key: str | None = None) -> object:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return self._transport.send("POST", path, body, headers)


def _one(sweep_id: str) -> str:
    return f"{_ALL}/{quote(sweep_id, safe='')}"
