"""Whether a temperature or a weighting has a say in an objective, as their own flags tell."""

from __future__ import annotations

from typing import Final

from kdcore.entry import Entry
from kdcore.objective import Objective
from kdcore.temperature import Temperature
from kdcore.temperatures.fixed import Fixed
from kdcore.weighting import Weighting
from kdcore.weightings.uniform import Uniform

NEUTRAL: Final[tuple[type[Entry], ...]] = (Fixed, Uniform)
"""What a recipe has where nobody asks for more; it stands beside everything."""


def unreached(entry: type[Entry], objective: type[Objective]) -> str | None:
    """Return why an entry of another axis has no say in an objective, or None where it has."""
    if entry in NEUTRAL:
        return None
    if issubclass(entry, Temperature) and not objective.softens:
        return "softened logits are not compared"
    if issubclass(entry, Weighting):
        if not objective.needs_teacher:
            return "the teacher is not followed"
        if objective.couples_samples:
            return "samples are compared with each other, so none has a loss of its own"
    return None
