"""Whether the networks of a route and what is compared between them fit each other.

All by arithmetic, so a spec is refused where it is posted, and not an hour later where it is run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kdcore.errors import RecipeError
from kdcore.learned import Learner
from kdcore.model import Model
from kdcore.path import TEACHER
from kdcore.route import Leg, models_of
from kdcore.temperature import Temperature
from kdcore.tensors import Shapes, Sizes
from kdcore.tokens import Ids
from kdcore.weighting import Weighting

Measure = Callable[[Model, tuple[int, ...], int], Shapes | None]
"""Tells the shapes of a model for inputs and classes; None where it cannot know them."""


def by_arithmetic(model: Model, input_shape: tuple[int, ...], num_classes: int) -> Shapes | None:
    """Return what a model itself tells; of a foreign one, nothing."""
    return model.shapes(input_shape, num_classes)


def check_fit(  # noqa: PLR0913  # two axes among what is compared
    legs: Sequence[Leg],
    *,
    teacher: Model,
    temperature: Temperature,
    weighting: Weighting,
    form: tuple[tuple[int, ...], int],
    measure: Measure = by_arithmetic,
) -> None:
    """Check every network and every pair on inputs of a form: shape of a sample, classes.

    A pair with a network whose shapes cannot be told is left to whoever can build it.

    Raises:
        RecipeError: a network cannot take such inputs, or a pair cannot be compared as asked for.
    """
    shapes: dict[str, Shapes | None] = {}
    pointer, assistant = "", ""
    try:
        for name, model in models_of(legs, teacher).items():
            pointer = place_of(name)
            _can_read(model, form[0])
            shapes[name] = measure(model, *form)
        for leg in legs:
            assistant = leg.link.name if leg.role == "assistant" else ""
            learners = _learners(leg, temperature, weighting)
            for name in leg.link.taught_by or [None]:
                student, teacher_shapes = shapes[leg.link.name], shapes[name] if name else {}
                if student is None or teacher_shapes is None:
                    continue
                sizes = Sizes(student, teacher_shapes, num_classes=form[1])
                for place, learner in learners:
                    pointer = place
                    learner.taps(sizes)
    except RecipeError as error:
        # An assistant is called the student of its own link.
        message = f"{assistant} as a student: {error}" if assistant else str(error)
        raise RecipeError(message, hint=error.hint, pointer=error.pointer or pointer) from None


def _can_read(model: Model, input_shape: tuple[int, ...]) -> None:
    if isinstance(input_shape, Ids) and not model.reads_texts:
        raise RecipeError(
            f"found {model.name}, which takes images or numbers, and texts of up to "
            f"{input_shape[0]} tokens; expected a text encoder",
            hint="take huggingface_config with a model_type such as bert, or other data",
        )


def _learners(
    leg: Leg, temperature: Temperature, weighting: Weighting
) -> list[tuple[str, Learner]]:
    """Return what reads features on a leg, each with its place in the recipe."""
    learners: list[tuple[str, Learner]] = [
        ("/objectives" if leg.role == "tutor" else f"/objectives/{place}", objective)
        for place, objective in enumerate(leg.objectives)
    ]
    if leg.link.taught_by:
        learners += [("/temperature", temperature), ("/weighting", weighting)]
    return learners


def place_of(network: str) -> str:
    """Return the part of a recipe that describes a network."""
    if network.partition("@")[0] == TEACHER:
        return "/teacher/model"
    return "/student/model" if network == "student" else "/path"
