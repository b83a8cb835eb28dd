"""Which key fits: the ledger's keys, each asked for once a second at most."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, NamedTuple, TypeVar

from starlette.concurrency import run_in_threadpool

from api.pace import Pace
from jobs.database import UNREACHABLE, Database
from jobs.errors import KeyNotFound, ProjectNotFound
from jobs.keyring import USED_SECONDS
from jobs.keys import Scope, id_of, is_same
from jobs.repository import Repository

FRESH_SECONDS: Final = 1.0
"""How long a revoked key may still open a door that it has just opened."""
FAILURES: Final = 20
"""Keys that open nothing, from one address, before it has to wait."""
_FAILURES_A_SECOND: Final = 1 / 6
_MOST_KNOWN: Final = 10_000
_Answer = TypeVar("_Answer")


class Fitting(NamedTuple):
    """A key that fits."""

    id: str
    project: str | None
    """None opens every project."""
    scope: Scope


class _Lately(Generic[_Answer]):
    """Answers of the ledger, as they were a moment ago."""

    def __init__(self, ask: Callable[[str], _Answer]) -> None:
        self._ask = ask
        self._known: OrderedDict[str, tuple[float, _Answer]] = OrderedDict()

    async def about(self, name: str) -> _Answer:
        now = time.monotonic()
        known = self._known.get(name)
        if known is not None and now - known[0] < FRESH_SECONDS:
            return known[1]
        if known is not None:
            # Whoever comes meanwhile takes the old answer: one question at a time is enough.
            self._known[name] = (now, known[1])
        try:
            answer = await run_in_threadpool(self._ask, name)
        except UNREACHABLE:
            if known is None:
                raise
            return known[1]  # nobody can have changed it meanwhile
        self._known[name] = (now, answer)
        self._known.move_to_end(name)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return answer

    def forget(self, name: str) -> None:
        self._known.pop(name, None)


class Locks:
    """The keys and the projects of a house."""

    def __init__(self, database: Callable[[], Database]) -> None:
        """Ask the ledger of `database`, once it is open."""
        self._database = database
        self._keys = _Lately(self._find)
        self._open = _Lately(self._has_none)
        self._projects = _Lately(self._is_project)
        self._failures = Pace(_FAILURES_A_SECOND, FAILURES)

    async def are_none(self) -> bool:
        """Say whether no key was ever made, so that nobody can be asked for one."""
        return await self._open.about("")

    async def fitting(self, text: str) -> Fitting | None:
        """Return what a key opens; None where it is no key of ours, or no longer."""
        # What cannot be a key costs no question, and what is kept in memory is none.
        key_id = id_of(text)
        if key_id is None:
            return None
        found = await self._keys.about(key_id)
        if found is None or not is_same(text, found[1]):
            return None
        return found[0]

    async def still_fits(self, key_id: str | None) -> bool:
        """Say whether a key that has opened the door would do so again; None came in without one.

        For what goes on after the request was let in, such as a stream of events.
        """
        if key_id is None:
            return await self.are_none()
        return await self._keys.about(key_id) is not None

    async def tried(self, text: str, address: str | None) -> Fitting | None:
        """Return what a key opens, and count the failure where it opens nothing.

        Raises:
            Problem: 429; too many that open nothing came from this address.
        """
        found = await self.fitting(text)
        if found is None:
            too_many = "too many keys that open nothing came from here"
            self._failures.take(address or "", "too_many_failures", too_many)
        return found

    def forget(self, key_id: str) -> None:
        """Ask the ledger about a key that was made or revoked before it lets in anybody more."""
        self._keys.forget(key_id)
        self._open.forget("")

    async def has_project(self, name: str) -> bool:
        """Say whether there is such a project."""
        return await self._projects.about(name)

    def _has_none(self, _: str) -> bool:
        with self._database().read() as session:
            return not Repository(session).has_keys()

    def _find(self, key_id: str) -> tuple[Fitting, str] | None:
        with self._database().read() as session:
            try:
                row = Repository(session).key(key_id)
            except KeyNotFound:
                return None
        now = datetime.now(UTC)
        if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
            return None
        if row.last_used_at is None or now - row.last_used_at > timedelta(seconds=USED_SECONDS):
            with self._database().write() as session:
                Repository(session).touch_key(key_id)
        return Fitting(row.id, row.project, Scope(row.scope)), row.sha256

    def _is_project(self, name: str) -> bool:
        with self._database().read() as session:
            try:
                Repository(session).project(name)
            except ProjectNotFound:
                return False
        return True
