"""Sweeps, as calls: many trials of one spec, and the search for a student."""

from __future__ import annotations

import asyncio
import builtins
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast
from urllib.parse import quote

from stillhouse.aio.transport import AsyncTransport
from stillhouse.errors import WaitTimedOut
from stillhouse.sweep_bodies import Leaderboard, Sweep, SweepPage, SweepPlan

_ALL = "/v1/sweeps"
_PAGE = 200
_LOOK_SECONDS = 2.0


class AsyncSweeps:
    """The sweeps of one server; `Client.sweeps`."""

    def __init__(self, transport: AsyncTransport) -> None:
        """Speak over a client's connection."""
        self._transport = transport

    async def create(self, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> Sweep:
        """Create a sweep: `spec`, `space`, and how they are tried.

        The same key with the same body answers with the same sweep.

        Raises:
            ApiError: a point is no spec (422): `errors` say which one, and where.
        """
        return cast("Sweep", await self._post(_ALL, body, idempotency_key))

    async def plan(self, body: Mapping[str, Any]) -> SweepPlan:
        """What `create` would try; nothing is stored."""
        return cast("SweepPlan", await self._post(f"{_ALL}?dry_run=true", body))

    async def find(self, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> Sweep:
        """Create a sweep over students: `spec` without a student, and `limits`.

        Raises:
            ApiError: no known network keeps the limits (422).
        """
        return cast("Sweep", await self._post(f"{_ALL}/students", body, idempotency_key))

    async def plan_of_find(self, body: Mapping[str, Any]) -> SweepPlan:
        """What `find` would try; nothing is stored."""
        return cast("SweepPlan", await self._post(f"{_ALL}/students?dry_run=true", body))

    async def list(self) -> builtins.list[Sweep]:
        """All of them, the newest first."""
        found: builtins.list[Sweep] = []
        wanted: dict[str, str | int | None] = {"limit": _PAGE}
        while True:
            page = cast("SweepPage", await self._transport.get(_ALL, wanted))
            found += page["data"]
            if page["next_cursor"] is None:
                return found
            wanted["after"] = page["next_cursor"]

    async def get(self, sweep_id: str) -> Sweep:
        """One of them."""
        return cast("Sweep", await self._transport.get(_one(sweep_id)))

    async def leaderboard(self, sweep_id: str) -> Leaderboard:
        """Its points, the best first."""
        path = f"{_one(sweep_id)}/leaderboard"
        return cast("Leaderboard", await self._transport.get(path))

    async def cancel(
        self, sweep_id: str, *, mode: Literal["graceful", "now"] = "graceful"
    ) -> Sweep:
        """Begin no more trials, and cancel those that wait or run."""
        return cast("Sweep", await self._post(f"{_one(sweep_id)}/cancel", {"mode": mode}))

    async def resume(self, sweep_id: str, *, budget_seconds: int | None = None) -> Sweep:
        """Go on with one that was cancelled, or that has spent its budget: with a larger one."""
        body = None if budget_seconds is None else {"budget": {"seconds": budget_seconds}}
        return cast("Sweep", await self._post(f"{_one(sweep_id)}/resume", body))

    async def wait(
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
            sweep = await self.get(sweep_id)
            if seen is not None:
                seen(sweep)
            if sweep["status"] != "running":
                return sweep
            if until is not None and time.monotonic() >= until:
                raise WaitTimedOut(sweep_id, sweep["status"], timeout_seconds or 0.0)
            left = _LOOK_SECONDS if until is None else until - time.monotonic()
            await asyncio.sleep(max(0.0, min(_LOOK_SECONDS, left)))

    async def _post(
        self, path: str, body: Mapping[str, Any] | None, key: str | None = None
    ) -> object:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        return await self._transport.send("POST", path, body, headers)


def _one(sweep_id: str) -> str:
    return f"{_ALL}/{quote(sweep_id, safe='')}"
