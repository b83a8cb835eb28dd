"""Teacher-assistant distillation (TAKD): a chain of networks of falling size.

Formula
    teacher -> assistant 1 -> ... -> assistant n -> student; each link learns from the one before it
    by L = (1 - lambda) CE + lambda T^2 KL. Without assistants it is plain KD.
    auto: teacher -> each candidate; the student learns from the candidate whose accuracy is nearest
    (accuracy of the teacher + accuracy of the student alone) / 2, all on the validation samples.
Shapes
    n + 1 links
Paper
    Mirzadeh, Farajtabar, Li, Levine, Matsukawa, Ghasemzadeh. Improved Knowledge Distillation via
    Teacher Assistant. AAAI 2020. arXiv:1902.03393. Its section on the best assistant says: nearest
    the mean accuracy, not the mean depth.
Source
    imirzadeh/Teacher-Assistant-Knowledge-Distillation, train.py. That code averages the divergence
    over the classes too, which makes lambda C times weaker, and never reaches its first learning
    rate; here it is the paper's formula, and the training is the recipe's own (the paper: SGD with
    Nesterov, .1, for ResNets .01 from epoch 80 and .001 from 120 of 150). The paper's numbers are
    the best of 120 choices of lambda and T on the test set; here they have the usual CIFAR values.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from kdcore.assistant import Assistant, Assistants, AssistantsOrAuto, named
from kdcore.errors import RecipeError
from kdcore.method import Method, Pair
from kdcore.model import Model
from kdcore.path import TEACHER, Link, Path

_MOST_CANDIDATES = 3


class TAKD(Path):
    """Each network learns from the next larger one alone."""

    name: Literal["takd"] = "takd"
    assistants: AssistantsOrAuto
    """The networks between teacher and student, largest first; `auto` tries the candidates."""
    candidates: Assistants = []
    """What `auto` chooses from; up to three of the student's own architecture if not given."""

    @model_validator(mode="after")
    def _candidates_are_read(self) -> Self:
        _refuse_idle(self.assistants, self.candidates)
        return self

    def links(self, teacher: Model, student: Model) -> list[Link]:
        """Return a link for each assistant, then the student's."""
        if self.assistants == "auto":
            return self._to_the_best(teacher, student)
        links: list[Link] = []
        taught_by = TEACHER
        for name, assistant in named(self.assistants):
            links.append(
                Link(name, assistant.model, taught_by=(taught_by,), training=assistant.training)
            )
            taught_by = name
        return [*links, Link("student", student, taught_by=(taught_by,))]

    def _to_the_best(self, teacher: Model, student: Model) -> list[Link]:
        candidates = self.candidates or [
            Assistant(model=model) for model in _evenly(student.between(teacher))
        ]
        if not candidates:
            raise RecipeError(
                f"found no size between {student.label()} and {teacher.label()} to try as an "
                "assistant; expected candidates",
                hint="write `candidates`, a list of models",
            )
        links = [
            Link(name, candidate.model, taught_by=(TEACHER,), training=candidate.training)
            for name, candidate in named(candidates)
        ]
        taught_by = tuple(link.name for link in links)
        return [*links, Link("student", student, taught_by, teachers="nearest_midpoint")]


def _refuse_idle(
    assistants: list[Assistant] | Literal["auto"], candidates: list[Assistant]
) -> None:
    """Refuse candidates that nobody chooses from."""
    if candidates and assistants != "auto":
        raise PydanticCustomError(
            "idle_candidates",
            "found candidates beside assistants that are named; expected candidates with "
            "`assistants: auto` alone",
        )


def _evenly(models: list[Model]) -> list[Model]:
    """Return at most three, at equal distances."""
    count = min(len(models), _MOST_CANDIDATES)
    return [models[(place * (len(models) + 1) // (count + 1)) - 1] for place in range(1, count + 1)]


class TAKDMethod(Method):
    """Plain KD along a chain of assistants."""

    name: Literal["takd"] = "takd"
    title: ClassVar[str] = "Teacher-assistant knowledge distillation"
    assistants: AssistantsOrAuto = "auto"
    """The networks between teacher and student, largest first; `auto` tries the candidates."""
    candidates: Assistants = []
    """What `auto` chooses from; up to three of the student's own architecture if not given."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of the teacher in the loss of each link (the paper's lambda, which it tunes)."""
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 4.0
    """Softening temperature of each link (the paper's tau, which it tunes)."""

    @model_validator(mode="after")
    def _candidates_are_read(self) -> Self:
        _refuse_idle(self.assistants, self.candidates)
        return self

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """KD's objectives on a chain."""
        path = self.model_dump(mode="json", include={"name", "assistants", "candidates"})
        return {
            "objectives": [
                {"name": "cross_entropy", "weight": round(1 - self.alpha, 12)},
                {"name": "kd", "weight": self.alpha},
            ],
            "temperature": {"name": "fixed", "value": self.temperature},
            "path": path,
        }
