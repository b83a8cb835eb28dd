"""The teacher teaches the student.

Formula
    teacher -> student
Shapes
    one link
Paper
    Hinton, Vinyals, Dean. Distilling the Knowledge in a Neural Network. 2015. arXiv:1503.02531
Source
    None needed
"""

from __future__ import annotations

from typing import Literal

from kdcore.model import Model
from kdcore.path import TEACHER, Link, Path


class Direct(Path):
    """The teacher teaches the student."""

    name: Literal["direct"] = "direct"

    def links(self, teacher: Model, student: Model) -> list[Link]:
        """Return the one link."""
        return [Link("student", student, taught_by=(TEACHER,))]
