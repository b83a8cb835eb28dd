"""What several listeners have in common: made for the first of them, ended after the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Hashable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Thing = TypeVar("_Thing")


@dataclass(slots=True)
class _Kept(Generic[_Thing]):
    thing: _Thing
    upkeep: asyncio.Task[None]
    users: int = 0


class Shared(Generic[_Key, _Thing]):
    """One thing for each key, and a task that looks after it, for as long as somebody uses it."""

    def __init__(self, upkeep: Callable[[_Key, _Thing], Coroutine[None, None, None]]) -> None:
        """Let `upkeep` look after whatever is made."""
        self._upkeep = upkeep
        self._kept: dict[_Key, _Kept[_Thing]] = {}

    def __iter__(self) -> Iterator[_Thing]:
        """Yield what is in use."""
        return iter([kept.thing for kept in self._kept.values()])

    @asynccontextmanager
    async def use(self, key: _Key, make: Callable[[], Awaitable[_Thing]]) -> AsyncGenerator[_Thing]:
        """Yield the thing of a key, made by `make` unless it is there.

        What `make` raises is passed on.
        """
        if key not in self._kept:
            made = await make()
            # Somebody else may have come first while this one was made.
            if key not in self._kept:
                task = asyncio.create_task(self._upkeep(key, made))
                self._kept[key] = _Kept(made, task)
        kept = self._kept[key]
        kept.users += 1
        try:
            yield kept.thing
        finally:
            kept.users -= 1
            if kept.users == 0 and self._kept.get(key) is kept:
                kept.upkeep.cancel()
                del self._kept[key]

    def cancel(self) -> None:
        """Look after nothing any more."""
        for kept in self._kept.values():
            kept.upkeep.cancel()
