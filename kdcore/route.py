"""The links of a path as they are trained, with what the objectives make of the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kdcore.errors import RecipeError
from kdcore.events import Role
from kdcore.model import Model
from kdcore.objective import Objective
from kdcore.path import TEACHER, Link, Path, anchor
from kdcore.training import Training


@dataclass(frozen=True, slots=True)
class Leg:
    """One training of the route."""

    role: Role
    link: Link
    """With the networks that truly teach."""
    model: Model
    """What is trained: the link's, or what an objective makes of it."""
    objectives: tuple[Objective, ...]
    training: Training
    inherits: str | None
    """The network that the model takes weights from."""


def plan_route(
    path: Path,
    objectives: Sequence[Objective],
    *,
    teacher: Model,
    student: Model,
    training: Training,
) -> list[Leg]:
    """Return the trainings in order; what is to be learned about a teacher comes before its link.

    Raises:
        RecipeError: there is no such route, or two objectives would prepare the teacher or
            change the student.
    """
    origins = (TEACHER, *map(anchor, range(1, path.anchors() + 1)))
    models = dict.fromkeys(origins, teacher)
    tutors: dict[str, Leg] = {}
    legs: list[Leg] = []
    for link in path.links(teacher, student):
        # Of a route it is the end that counts: earlier networks are not what the student becomes.
        nearest = link.taught_by[-1 if link.teachers == "in_turn" else 0]
        model = _student(link.model, models[nearest], objectives)
        own = link.training or training
        taught_by: list[str] = []
        for name in link.taught_by:
            if name not in tutors and (tutor := _tutor(name, models[name], objectives, own)):
                tutors[name] = tutor
                legs.append(tutor)
            taught_by.append(tutors[name].link.name if name in tutors else name)
        legs.append(
            Leg(
                role="student" if link.name == "student" else "assistant",
                link=replace(link, taught_by=tuple(taught_by)) if tutors else link,
                model=model,
                objectives=tuple(objectives),
                training=own,
                inherits=None if model is link.model else nearest,
            )
        )
        models[link.name] = model
    return legs


def models_of(legs: Sequence[Leg], teacher: Model) -> Mapping[str, Model]:
    """Return the model of every network that teaches on the route, by name."""
    return {leg.link.name: leg.model for leg in legs} | {
        name: teacher
        for leg in legs
        for name in leg.link.taught_by
        if name.partition("@")[0] == TEACHER
    }


def _student(student: Model, teacher: Model, objectives: Sequence[Objective]) -> Model:
    made = [
        (objective.name, model)
        for objective in objectives
        if (model := objective.student_model(student, teacher)) is not student
    ]
    if len(made) > 1:
        raise RecipeError(
            f"found {' and '.join(name for name, _ in made)}, which each make another network of "
            "the student; expected one of them",
            hint="leave one of them out",
            pointer="/objectives",
        )
    return made[0][1] if made else student


def _tutor(
    name: str, teacher: Model, objectives: Sequence[Objective], training: Training
) -> Leg | None:
    found = [
        (objective.name, tutor)
        for objective in objectives
        if (tutor := objective.tutor(teacher, training))
    ]
    if not found:
        return None
    if len(found) > 1:
        raise RecipeError(
            f"found {' and '.join(name for name, _ in found)}, which each learn about the teacher "
            "first; expected one of them",
            hint="leave one of them out",
            pointer="/objectives",
        )
    (objective, tutor) = found[0]
    return Leg(
        role="tutor",
        link=Link(f"tutor-{objective}-{name}", tutor.model, taught_by=()),
        model=tutor.model,
        objectives=tutor.objectives,
        training=tutor.training,
        inherits=name,
    )
