"""Which classes distillation changed most: what figures and tables show of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from kdcore.quality import ClassScore, LabelScore

Scored: TypeAlias = ClassScore | LabelScore


def gained(one: Scored) -> float:
    """Return the student's score in a class minus the baseline's, or else the teacher's."""
    return one.student - (one.teacher if one.baseline is None else one.baseline)


def most_changed(classes: Sequence[Scored], most: int) -> list[Scored]:
    """Return the classes that changed most, the largest change first."""
    return sorted(classes, key=lambda one: -abs(gained(one)))[:most]
