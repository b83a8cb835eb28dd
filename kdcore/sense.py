"""Recipes that nobody can mean: each check refuses one kind, and says why and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from kdcore.beginning import (
    assistants_learn,
    heads_have_a_body,
    only_what_learns_is_trained,
    students_stay_themselves,
)
from kdcore.errors import RecipeError
from kdcore.extent import trainings
from kdcore.gate import SCORES, Gate
from kdcore.learned import Learner
from kdcore.meaning import task_is_understood
from kdcore.model import Model
from kdcore.reach import unreached
from kdcore.reading.image_set import ImageSet
from kdcore.route import Leg
from kdcore.shipping import forms_are_delivered
from kdcore.temperatures.fixed import Fixed
from kdcore.weighting import Weighting

if TYPE_CHECKING:
    from kdcore.recipe import Recipe

_IMAGE_DIMENSIONS = 3
MOST_PAUSES: Final = 100_000
"""Checkpoints, and evaluations, of one training."""
_NEED_A_BASELINE = {"uplift", "uplift.low", *(f"baseline.{score}" for score in SCORES)}


def somebody_teaches(recipe: Recipe) -> None:
    """Refuse objectives that look at labels alone."""
    if not any(one.needs_teacher and one.weight for one in recipe.objectives):
        raise RecipeError(
            "found no objective that follows the teacher with a weight above 0; expected one, "
            "such as kd",
            pointer="/objectives",
        )


def temperature_is_read(recipe: Recipe) -> None:
    """Refuse a temperature that no term looks at, unless it is there without being asked for."""
    temperature = recipe.temperature
    if isinstance(temperature, Fixed):
        if _unasked(temperature, recipe) or _learns_by_itself(recipe.weighting):
            return
        shown, unread = f"{temperature.value:g}", not any(one.softens for one in recipe.objectives)
    else:
        shown = temperature.name
        unread = all(unreached(type(temperature), type(one)) for one in recipe.objectives)
    if unread:
        raise RecipeError(
            f"found temperature {shown}, and none of the objectives "
            f"{_objectives(recipe)} compares softened logits; expected one that does",
            hint="add an objective such as kd, or leave the temperature out",
            pointer="/temperature",
        )


def weights_reach_a_term(recipe: Recipe) -> None:
    """Refuse weights of samples where every term compares samples with each other."""
    if all(unreached(type(recipe.weighting), type(one)) for one in recipe.objectives):
        raise RecipeError(
            f"found weighting {recipe.weighting.name}, and the objectives {_objectives(recipe)} "
            "compare the samples of a batch with each other, so no sample has a loss of its own to "
            "be weighed; expected an objective with one loss a sample",
            hint="add an objective such as kd, or leave the weighting out",
            pointer="/weighting",
        )


def images_can_be_changed(recipe: Recipe) -> None:
    """Refuse changes of images where the data is known to be none."""
    form = recipe.data.form()
    if recipe.data.augmentation.changes and form and len(form[0]) != _IMAGE_DIMENSIONS:
        raise RecipeError(
            "found changes of images in data.augmentation, and samples of shape "
            f"{form[0]}; expected images (channels, height, width)",
            hint="leave data.augmentation out",
            pointer="/data/augmentation",
        )


def pixels_can_suit_the_teacher(recipe: Recipe) -> None:
    """Refuse to normalise as a teacher expects of whom nothing tells what that is."""
    data, model = recipe.data, recipe.teacher.model
    teacher = isinstance(data, ImageSet) and data.normalize == "teacher"
    if teacher and type(model).expects is Model.expects:
        raise RecipeError(
            f"found normalize: teacher and the teacher {model.label()}, of which nothing tells "
            "what its weights expect; expected a model such as timm, torchvision or huggingface",
            hint="write the numbers: data.normalize: {mean: [...], std: [...]}",
            pointer="/data/normalize",
        )


def mixed_labels_are_understood(recipe: Recipe) -> None:
    """Refuse mixed images beside what tells the label's class from all others.

    What follows the teacher's answers alone follows those on the mixed image, and cross-entropy
    takes both labels by their shares. A formula with one target class has no meaning for two.
    """
    if not recipe.data.augmentation.mixes:
        return
    axes: dict[str, Learner] = {
        f"/objectives/{place}": one for place, one in enumerate(recipe.objectives)
    }
    axes |= {"/temperature": recipe.temperature, "/weighting": recipe.weighting}
    for pointer, one in axes.items():
        if one.needs_indices or (one.needs_labels and not one.mixes_labels):
            raise RecipeError(
                f"found {one.name} and images that are mixed (mixup, cutmix): {one.name} reads one "
                "label a sample, and a mixed image has two; expected what follows the teacher's "
                "answers alone, such as kd, beside cross_entropy, which takes both by their shares",
                hint="set mixup and cutmix to 0, or take kd, dist or an objective on features",
                pointer=pointer,
            )


def batches_are_large_enough(recipe: Recipe, legs: Sequence[Leg]) -> None:
    """Refuse batches too small to compare samples in."""
    known = recipe.data.labelled if not recipe.data.unlabelled else None
    for leg in legs:
        size, pointer = leg.training.per_device_train_batch_size, "/path"
        size *= recipe.runtime.processes
        if leg.link.training is None:
            pointer = "/training/per_device_train_batch_size"
        if known is not None and known < size and leg.role != "tutor":
            size, pointer = known, "/data/labelled"
        for objective in leg.objectives:
            if size < objective.smallest_batch:
                raise RecipeError(
                    f"found batches of {size} for {leg.link.name}, and {objective.name} compares "
                    f"{objective.smallest_batch} samples or more with each other; "
                    f"expected at least {objective.smallest_batch}",
                    pointer=pointer,
                )


def route_is_known(recipe: Recipe) -> None:
    """Refuse a path along a training that this run does not do."""
    if recipe.path.anchors() and recipe.teacher.given:
        raise RecipeError(
            f"found path {recipe.path.name}, which follows the teacher's own training, and a "
            "teacher that is trained already; expected a teacher without weights",
            hint="leave teacher.weights out, give teacher.training or new_head, or take another "
            "path",
            pointer="/path",
        )
    steps = (recipe.teacher.training or recipe.training).max_steps
    if steps is not None and steps <= recipe.path.anchors():
        raise RecipeError(
            f"found path {recipe.path.name} with {recipe.path.anchors()} anchors, and {steps} "
            "steps of the teacher's training; expected more steps than anchors",
            hint="train the teacher longer, or ask for fewer points",
            pointer="/path",
        )


def midpoint_is_known(
    recipe: Recipe, legs: Sequence[Leg], *, validated: bool | None = None
) -> None:
    """Refuse a choice by accuracy where the accuracies are not measured."""
    if all(leg.link.teachers != "nearest_midpoint" for leg in legs):
        return
    if not (recipe.data.may_validate() if validated is None else validated):
        raise RecipeError(
            "found an assistant to be chosen by its accuracy, and no validation samples to measure "
            "it on; expected data.validation_size above 0",
            hint="set data.validation_size, or name the assistants",
            pointer="/data/validation_size",
        )
    if not recipe.baseline.enabled:
        raise RecipeError(
            "found an assistant to be chosen midway between the teacher and the student alone, and "
            "no baseline; expected baseline: true",
            hint="switch the baseline on, or name the assistants",
            pointer="/baseline",
        )


def best_is_measured(recipe: Recipe, *, validated: bool | None = None) -> None:
    """Refuse to keep the best weights where nothing is measured on the way."""
    if not recipe.training.load_best_model_at_end:
        return
    if not (recipe.data.may_validate() if validated is None else validated):
        raise RecipeError(
            "found load_best_model_at_end but no validation samples; "
            "expected data.validation_size above 0",
            pointer="/training/load_best_model_at_end",
        )


def check_without_validation(recipe: Recipe) -> None:
    """Refuse what needs validation samples, now that the data is read and has none.

    Raises:
        RecipeError: the recipe selects by accuracy.
    """
    best_is_measured(recipe, validated=False)
    midpoint_is_known(recipe, recipe.route(), validated=False)


def pauses_are_few(recipe: Recipe) -> None:
    """Refuse trainings that would mostly save, or tell what they measure."""
    for work in trainings(recipe):
        pauses = {"save_steps": work.training.save_steps}
        if recipe.data.may_validate() and work.training.eval_steps:
            pauses["eval_steps"] = work.training.eval_steps
        for name, every in pauses.items():
            if work.times and work.steps // every > MOST_PAUSES:
                raise RecipeError(
                    f"found {name} {every:,} in a training of {work.steps:,} steps, which is "
                    f"{work.steps // every:,} times; expected at most {MOST_PAUSES:,}",
                    hint=f"raise {name}",
                    pointer=f"/training/{name}",
                )


def gates_are_measured(recipe: Recipe) -> None:
    """Refuse gates on what this run does not measure."""
    own = recipe.task.metric
    gated = {Gate.parse(line).metric for line in recipe.gates}
    others = {metric for metric in gated if metric.partition(".")[2] in {*SCORES} - {own}}
    if others:
        raise RecipeError(
            f"found a gate on {', '.join(sorted(others))}, and a task of {recipe.task.name}, which "
            f"counts by {own}; expected such as student.{own}",
            pointer="/gates",
        )
    if "uplift.low" in gated and len(recipe.seeds) == 1:
        raise RecipeError(
            "found a gate on uplift.low and one seed, which has no interval; "
            "expected at least two seeds",
            pointer="/gates",
        )
    if not recipe.baseline.enabled and (lost := sorted(gated & _NEED_A_BASELINE)):
        raise RecipeError(
            f"found a gate on {', '.join(lost)} but no baseline; expected baseline: true",
            pointer="/gates",
        )


def _unasked(temperature: Fixed, recipe: Recipe) -> bool:
    """Return whether a number is the recipe's default, or was written by the method."""
    if temperature == Fixed():
        return True
    written = recipe.written_axes().get("temperature")
    return temperature.model_dump(mode="json") == written


def _learns_by_itself(weighting: Weighting) -> bool:
    """Return whether a weighting has a loss of its own, which is given softened logits as well."""
    return type(weighting).own_loss is not Weighting.own_loss


def _objectives(recipe: Recipe) -> str:
    return ", ".join(one.name for one in recipe.objectives)


CHECKS: Final[tuple[Callable[[Recipe], None], ...]] = (
    task_is_understood,
    only_what_learns_is_trained,
    heads_have_a_body,
    somebody_teaches,
    temperature_is_read,
    weights_reach_a_term,
    images_can_be_changed,
    pixels_can_suit_the_teacher,
    mixed_labels_are_understood,
    route_is_known,
    best_is_measured,
    pauses_are_few,
    gates_are_measured,
    forms_are_delivered,
)
"""In the order in which they are asked."""

ROUTE_CHECKS: Final[tuple[Callable[[Recipe, Sequence[Leg]], None], ...]] = (
    assistants_learn,
    students_stay_themselves,
    batches_are_large_enough,
    midpoint_is_known,
)
"""Asked after the others, about the trainings that the recipe makes."""
