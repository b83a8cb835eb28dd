"""Networks that cannot begin as a recipe says: each check refuses one kind, as those of `sense`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdcore.errors import RecipeError
from kdcore.route import Leg

if TYPE_CHECKING:
    from kdcore.recipe import Recipe


def only_what_learns_is_trained(recipe: Recipe) -> None:
    """Refuse to train a network that can teach alone."""
    teacher = recipe.teacher
    trained = {"/student/model": recipe.student.model}
    if teacher.training is not None:
        trained["/teacher/training"] = teacher.model
    if teacher.weights is not None:
        trained["/teacher/weights"] = teacher.model
    for pointer, model in trained.items():
        if not model.learns:
            raise RecipeError(
                f"found {model.name}, which cannot be trained and brings its own weights; expected "
                "it as a teacher, with neither training nor weights",
                hint="leave this out, or take another model here",
                pointer=pointer,
            )


def assistants_learn(_: Recipe, legs: Sequence[Leg]) -> None:
    """Refuse an assistant that cannot be trained."""
    for leg in legs:
        if not leg.model.learns:
            raise RecipeError(
                f"found {leg.model.name} as {leg.link.name}, which cannot be trained; expected a "
                "network that learns before it teaches",
                hint="take another model there",
                pointer="/path",
            )


def heads_have_a_body(recipe: Recipe) -> None:
    """Refuse a new head where no weights are named that it is to be put on."""
    for whose, side in (("teacher", recipe.teacher), ("student", recipe.student)):
        if side.new_head and side.weights is None:
            raise RecipeError(
                f"found {whose}.new_head and no {whose}.weights; expected the weights whose head "
                "is to be drawn anew",
                hint="name weights, or leave new_head out: a model that brings its own weights has "
                "options of its own, as huggingface has model.new_head",
                pointer=f"/{whose}/new_head",
            )


def students_stay_themselves(recipe: Recipe, legs: Sequence[Leg]) -> None:
    """Refuse a file for a student that an objective makes another network of."""
    for leg in legs:
        if leg.role == "student" and recipe.student.weights and leg.model != leg.link.model:
            names = ", ".join(one.name for one in leg.objectives)
            raise RecipeError(
                f"found student.weights, and objectives ({names}) that make another network of the "
                "student, which the file does not fit; expected a student without weights",
                hint="leave student.weights out, or take another objective",
                pointer="/student/weights",
            )
