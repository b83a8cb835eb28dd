"""A recipe with all that its inputs folder settles: where files are, and what a teacher expects.

What is settled stands in the recipe that is run, in its digest and in its lock.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from kdcore.errors import RecipeError
from kdcore.events import Warned
from kdcore.preparation import Expected
from kdcore.reading.image_set import ImageSet
from kdcore.recipe import Recipe
from kdcore.sides import located

_WRITE_THEM: Final = "write the numbers: data.normalize: {mean: [...], std: [...]}"
_NEAR: Final = 1e-3


def settled(recipe: Recipe, inputs: Path) -> Recipe:
    """Return a recipe with its files found, and numbers where its data is to suit the teacher.

    Raises:
        RecipeError: nothing tells what the teacher expects, or images have other channels.
    """
    recipe = located(recipe, inputs)
    data = recipe.data
    if not isinstance(data, ImageSet) or data.normalize != "teacher":
        return recipe
    label, found = recipe.teacher.model.label(), _expected(recipe)
    if found is None:
        raise RecipeError(
            f"found normalize: teacher, and nothing tells which mean and std {label} was trained "
            "with; expected a model whose library or folder does",
            hint=_WRITE_THEM,
            pointer="/data/normalize",
        )
    if len(found.mean) != data.channels:
        raise RecipeError(
            f"found normalize: teacher for {data.channels} channels, and {label}, which was "
            f"trained with mean and std of {len(found.mean)}; expected as many",
            hint=f"set data.channels to {len(found.mean)}, or {_WRITE_THEM}",
            pointer="/data/normalize",
        )
    try:
        return recipe.model_copy(update={"data": data.normalized(*found)})
    except ValidationError:
        raise RecipeError(
            f"found normalize: teacher, and {label}, which was trained with {_told(found)} of "
            "pixels in [0, 1]; expected a mean within 0 and 1, and a std of at least 0.001",
            hint=_WRITE_THEM,
            pointer="/data/normalize",
        ) from None


def unlike_its_teacher(recipe: Recipe) -> Iterator[Warned]:
    """Warn of images that are not normalised as those that a given teacher was trained on."""
    data = recipe.data
    if not isinstance(data, ImageSet) or not recipe.teacher.given:
        return
    found = _expected(recipe)
    if found is None or len(found.mean) != data.channels:
        return
    own = Expected(*data.moments())
    pairs = zip((*own.mean, *own.std), (*found.mean, *found.std), strict=True)
    if all(math.isclose(one, other, abs_tol=_NEAR) for one, other in pairs):
        return
    yield Warned(
        code="unlike_its_teacher",
        message=f"images are given with {_told(own)}, and {recipe.teacher.model.label()} is "
        f"usually trained with {_told(found)}: given other numbers than in its training, it may "
        "know little",
        hint="set data.normalize: teacher, unless its weights were trained on images as these are",
    )


def _expected(recipe: Recipe) -> Expected | None:
    try:
        return recipe.teacher.model.expects()
    except RecipeError as error:
        raise RecipeError(
            str(error), hint=error.hint, pointer=error.pointer or "/teacher/model"
        ) from None


def _told(one: Expected) -> str:
    mean, std = (", ".join(f"{number:.4g}" for number in numbers) for numbers in one)
    return f"mean {mean} and std {std}"
