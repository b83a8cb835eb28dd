"""What a sample is labelled with: one class, several labels, or numbers."""

from __future__ import annotations

import math
from typing import Final

NO_LABEL: Final = -1

Label = int | list[int] | list[float]
"""A class; or for each label 1 or 0, all -1 where they are not known; or numbers, NaN where one is
not known."""


def is_labelled(label: Label) -> bool:
    """Return whether a sample has a label, or all of several."""
    if isinstance(label, int):
        return label >= 0
    return not any(math.isnan(one) or (isinstance(one, int) and one < 0) for one in label)


def given(label: Label) -> list[int]:
    """Return the places of what a sample is: its class, or those of several labels that it has."""
    if isinstance(label, int):
        return [label] if label >= 0 else []
    return [place for place, one in enumerate(label) if isinstance(one, int) and one == 1]
