"""Route-constrained optimisation (RCO): follow the teacher's own training, easy to hard.

Formula
    anchors a_1, ..., a_k = the teacher after 1/k, 2/k, ... of its training; the student learns by
    KD from a_1 for the first k-th of its steps, from a_2 for the second, and so on
Shapes
    one link with k teachers in turn
Paper
    Jin, Peng, Wu, Liu, Liu, Liang, Yan, Hu. Knowledge Distillation via Route Constrained
    Optimization. ICCV 2019. arXiv:1904.09149
Source
    No official code is public. SforAiDl/KD_Lib, KD_Lib/KD/vision/RCO/rco.py switches after a fixed
    number of the student's epochs, and fails when the student trains longer than the teacher; here
    both routes are cut into equal shares. Of the paper's two ways to choose anchors this is the one
    of equal intervals; its greedy search is not built.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.method import Method, Pair
from kdcore.model import Model
from kdcore.path import TEACHER, Link, Path, anchor

Anchors = Annotated[int, Field(ge=1, le=64)]


class RCO(Path):
    """The student follows the teacher's own route of training."""

    name: Literal["rco"] = "rco"
    points: Anchors = 4
    """Points of the teacher's training that teach one after the other; the last is its end."""

    def anchors(self) -> int:
        """Return the points before the end."""
        return self.points - 1

    def links(self, teacher: Model, student: Model) -> list[Link]:
        """Return the one link."""
        route = (*map(anchor, range(1, self.points)), TEACHER)
        return [Link("student", student, taught_by=route, teachers="in_turn")]


class RCOMethod(Method):
    """Plain KD from the teacher as it was, point by point."""

    name: Literal["rco"] = "rco"
    title: ClassVar[str] = "Route-constrained optimisation"
    points: Anchors = 4
    """Points of the teacher's training that teach one after the other; the last is its end."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of the teacher in the loss; the labels have the rest."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """Softening temperature T of both networks."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """KD's objectives along the route."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": round(1 - self.alpha, 12)},
                {"name": "kd", "weight": self.alpha},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
            "path": {"name": "rco", "points": self.points},
        }
