"""Variants that take turns: each once in every repeat, in an order that is drawn anew.

What else runs on the machine then meets all of them alike, and a ratio is taken within a repeat.
CPU seconds of this process on one thread, since wall time on a shared machine says little.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

Timed = Callable[[], float]
"""Does the work, and returns what it took."""


def take_turns(variants: Mapping[str, Timed], repeats: int) -> dict[str, list[float]]:
    """Return what each variant took in each repeat."""
    draw = random.Random(0)  # noqa: S311  # an order, no secret
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name in draw.sample(list(variants), len(variants)):
            seconds[name].append(variants[name]())
    return seconds


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of this process that some work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started
