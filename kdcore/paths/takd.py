"""Teacher-assistant distillation (TAKD): a chain of networks of falling size.

Formula
    teacher -> assistant 1 -> ... -> assistant n -> student; each link learns from the one before it
    by L = (1 - lambda) CE + lambda T^2 KL. Without assistants it is plain KD.
Shapes
    n + 1 links
Paper
    Mirzadeh, Farajtabar, Li, Levine, Matsukawa, Ghasemzadeh. Improved Knowledge Distillation via
    Teacher Assistant. AAAI 2020. arXiv:1902.03393
Source
    imirzadeh/Teacher-Assistant-Knowledge-Distillation, train.py. That code averages the divergence
    over the classes too, which makes lambda C times weaker; here it is the paper's formula.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.entry import OneOf
from kdcore.method import Method
from kdcore.model import Model
from kdcore.models import MODELS
from kdcore.path import Link, Path

Assistants = Annotated[
    list[Annotated[Model, OneOf(MODELS)]],
    Field(max_length=8),
]


class TAKD(Path):
    """Each network learns from the next larger one alone."""

    name: Literal["takd"] = "takd"
    assistants: Assistants
    """The networks between teacher and student, largest first."""

    def links(self, student: Model) -> list[Link]:
        """Return a link for each assistant, then the student's."""
        links: list[Link] = []
        taught_by = "teacher"
        for place, model in enumerate(self.assistants, start=1):
            links.append(Link(f"assistant-{place}", model, taught_by=(taught_by,)))
            taught_by = links[-1].name
        return [*links, Link("student", student, taught_by=(taught_by,))]


class TAKDMethod(Method):
    """Plain KD along a chain of assistants."""

    name: Literal["takd"] = "takd"
    title: ClassVar[str] = "Teacher-assistant knowledge distillation"
    assistants: Assistants
    """The networks between teacher and student, largest first."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of the teacher in the loss of each link (the paper's lambda, which it tunes)."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """Softening temperature of each link (the paper's tau, which it tunes)."""

    def axes(self) -> dict[str, JsonValue]:
        """KD's objectives on a chain."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": round(1 - self.alpha, 12)},
                {"name": "kd", "weight": self.alpha},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
            "path": {
                "name": "takd",
                "assistants": [model.model_dump(mode="json") for model in self.assistants],
            },
        }
