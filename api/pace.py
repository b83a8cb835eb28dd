"""How fast anybody may ask: a bucket for each, which fills at a steady rate."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from api.problems import Problem

_MOST_BUCKETS: Final = 10_000


class Pace:
    """Buckets by name; those that were not asked for longest are forgotten, and full again."""

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Let each take `burst` at once, and `per_second` from then on."""
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, code: str, detail: str) -> None:
        """Take one.

        Raises:
            Problem: 429, with the code and the detail; it says when there will be one.
        """
        level = self._level(name)
        if level < 1.0:
            seconds = max(1, math.ceil((1.0 - level) / self._per_second))
            hint = f"send it again in {seconds} s"
            raise Problem(429, code, detail, hint=hint, headers={"Retry-After": str(seconds)})
        self._buckets[name] = (level - 1.0, self._clock())
        self._buckets.move_to_end(name)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)

    def _level(self, name: str) -> float:
        level, then = self._buckets.get(name, (self._burst, 0.0))
        return min(self._burst, level + (self._clock() - then) * self._per_second)
