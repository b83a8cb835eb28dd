"""What the student is compared with, and how the verdict is reached."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kdcore.entry import Record


class Baseline(Record):
    """Controls: the same student without distillation, at equal budget."""

    enabled: bool = True
    """Train the student on its labels alone, for as many steps. A task that has no labels, such as
    embedding, has false."""
    hard_labels: bool = False
    """Also train it on the teacher's best class alone, to see what the soft answers add."""


class Evaluation(Record):
    """How the verdict is reached."""

    confidence: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    """Coverage of the interval of the paired difference."""
    tie_margin: Annotated[float, Field(ge=0, le=0.5)] = 0.005
    """A difference surely smaller than this is a tie."""
