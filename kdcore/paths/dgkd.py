"""Densely guided knowledge distillation (DGKD): every larger network teaches.

Formula
    L = (n + 1)(1 - lambda) CE + lambda * ( KD(teacher -> S) + sum_i KD(assistant i -> S) )
    for a network with n assistants above it: the sum of TAKD's link loss over its n + 1 teachers.
    While the student trains, each teacher is heard in a step with probability `keep`, and never
    none: a draw that would drop all is drawn again.
Shapes
    n + 1 links, the last one with n + 1 teachers
Paper
    Son, Na, Choi, Hwang. Densely Guided Knowledge Distillation using Multiple Teacher Assistants.
    ICCV 2021. arXiv:2009.08825
Source
    wonchulSon/DGKD, train.py. There the labels count once however many teach, lambda is 1 (so they
    do not count at all), and of m teachers exactly `drop_num` are dropped; here it is the paper:
    the factor n + 1, and a Bernoulli choice for the student alone. `keep` 0.75 is their one of four
    dropped. The paper's lambda is not known to us; 0.9 is that of plain KD. Who is heard stands in
    no log: it is a pure function of the seed and the step (`kdcore.counters`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from kdcore.assistant import Assistants, named
from kdcore.method import Method, Pair
from kdcore.model import Model
from kdcore.path import TEACHER, Link, Path

Chain = Annotated[Assistants, Field(min_length=1, examples=[["resnet32", "resnet20"]])]
Keep = Annotated[float, Field(gt=0, le=1)]
Labels = Literal["once", "each_teacher", "each_heard"]


class DGKD(Path):
    """Each network learns from the teacher and from all assistants before it."""

    name: Literal["dgkd"] = "dgkd"
    assistants: Chain
    """The networks between teacher and student, largest first."""
    keep: Keep = 0.75
    """Probability with which the student hears each of its teachers in a step; 1 hears all."""
    labels: Labels = "each_teacher"
    """How often the terms that look at labels alone count: once, or once for each teacher, or once
    for each teacher that is heard in the step."""

    def links(self, teacher: Model, student: Model) -> list[Link]:
        """Return a link for each assistant, then the student's."""
        links: list[Link] = []
        heard: tuple[str, ...] = (TEACHER,)
        for name, assistant in named(self.assistants):
            links.append(
                Link(
                    name,
                    assistant.model,
                    taught_by=heard,
                    labels=self.labels,
                    training=assistant.training,
                )
            )
            heard = (*heard, name)
        last = Link("student", student, taught_by=heard, keep=self.keep, labels=self.labels)
        return [*links, last]


class DGKDMethod(Method):
    """Plain KD from every larger network at once."""

    name: Literal["dgkd"] = "dgkd"
    title: ClassVar[str] = "Densely guided knowledge distillation"
    assistants: Chain
    """The networks between teacher and student, largest first."""
    keep: Keep = 0.75
    """Probability with which the student hears each of its teachers in a step; 1 hears all."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of each teacher in the loss (the paper's lambda)."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 5.0
    """Softening temperature of each link."""

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """KD's objectives, with all that are larger as teachers."""
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": round(1 - self.alpha, 12)},
                {"name": "kd", "weight": self.alpha},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
            "path": self.model_dump(mode="json", include={"name", "assistants", "keep"}),
        }
