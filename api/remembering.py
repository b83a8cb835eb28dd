"""Drawings that are asked for again and again: made once, the last used of them kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from markupsafe import Markup


class Drawings:
    """Of one app, by all that they depend on."""

    def __init__(self, most: int) -> None:
        """Keep so many of them."""
        self._most = most
        self._kept: OrderedDict[Hashable, Markup] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, key: Hashable, draw: Callable[[], Markup | None]) -> Markup | None:
        """Return a drawing; where there is nothing to draw yet, it is tried again next time."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        drawn = draw()
        if drawn is not None:
            with self._lock:
                self._kept[key] = drawn
                if len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return drawn
