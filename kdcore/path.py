"""What a path is: who teaches whom, from the teacher to the student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kdcore.entry import Entry
from kdcore.model import Model
from kdcore.training import Training

TEACHER = "teacher"


def anchor(place: int) -> str:
    """Return the name of the teacher as it was at a point of its own training, counted from 1."""
    return f"{TEACHER}@{place}"


@dataclass(frozen=True, slots=True)
class Link:
    """One training on the way: a network, and who teaches it."""

    name: str
    """`student`, or `assistant-` and a word."""
    model: Model
    taught_by: tuple[str, ...]
    """Names of earlier links, of anchors, or `teacher`."""
    teachers: Literal["together", "in_turn", "nearest_midpoint"] = "together"
    """What several teachers say is added up; or they teach one after the other; or the one teaches
    whose accuracy is nearest the middle between the teacher's and the student's alone."""
    keep: float = 1.0
    """Probability with which each of several teachers is heard in a step; one always is."""
    labels: Literal["once", "each_teacher", "each_heard"] = "once"
    """How often the terms that look at labels alone count."""
    training: Training | None = None
    """How it is trained; like the student where not given."""


class Path(Entry):
    """One route from the teacher to the student."""

    def links(self, teacher: Model, student: Model) -> list[Link]:
        """Return the trainings in order; the last one is the student's.

        Raises:
            RecipeError: there is no such route between these two.
        """
        raise NotImplementedError

    def anchors(self) -> int:
        """Return how many points of the teacher's own training teach as well."""
        return 0
