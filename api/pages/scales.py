"""Where numbers stand at an axis."""

from __future__ import annotations

import math
from typing import Final

WIDE_RATIO: Final = 12.0
"""From this ratio of the highest to the lowest on, a cost is drawn on a logarithmic scale."""


def nice(low: float, high: float, wanted: int) -> list[float]:
    """Return round numbers between two, about as many as wanted."""
    rough = (high - low) / wanted
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]
