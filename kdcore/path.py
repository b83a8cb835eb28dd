"""What a path is: who teaches whom, from the teacher to the student."""

from __future__ import annotations

from dataclasses import dataclass

from kdcore.entry import Entry
from kdcore.model import Model


@dataclass(frozen=True, slots=True)
class Link:
    """One training on the way: a network, and who teaches it."""

    name: str
    """`student`, or `assistant-1` and so on."""
    model: Model
    taught_by: tuple[str, ...]
    """Names of earlier links, or `teacher`; what several teachers say is added up."""


class Path(Entry):
    """One route from the teacher to the student."""

    def links(self, student: Model) -> list[Link]:
        """Return the trainings in order; the last one is the student's."""
        raise NotImplementedError
