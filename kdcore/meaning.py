"""What has no meaning in a task: data with other labels, and terms that read classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.entry import Entry
from kdcore.errors import RecipeError

if TYPE_CHECKING:
    from kdcore.recipe import Recipe


def task_is_understood(recipe: Recipe) -> None:
    """Refuse what has no meaning in the task: data of other labels, terms that read classes."""
    task = recipe.task.name
    parts: dict[str, Entry] = {"/data": recipe.data}
    parts |= {f"/objectives/{place}": one for place, one in enumerate(recipe.objectives)}
    parts |= {"/temperature": recipe.temperature, "/weighting": recipe.weighting}
    parts["/curriculum"] = recipe.curriculum
    for pointer, one in parts.items():
        if not one.serves(task):
            raise RecipeError(
                f"found {one.name} in a task of {task}, where it has no meaning; expected one that "
                "has, as the catalogue tells of each (tasks)",
                hint="set the task that you mean, or take kd or a method on features, which every "
                "task has in its own words",
                pointer=pointer,
            )
    if not recipe.task.learns_labels:
        _teacher_is_all(recipe)
    if recipe.baseline.hard_labels and not recipe.task.has_hard_answers:
        raise RecipeError(
            f"found baseline.hard_labels in a task of {task}, whose answers have no harder form; "
            "expected false",
            pointer="/baseline/hard_labels",
        )
    if recipe.teacher_cache.top_k and task != "classification":
        raise RecipeError(
            f"found teacher_cache.top_k in a task of {task}; the largest answers stand for all in "
            "classification alone",
            hint="leave top_k out",
            pointer="/teacher_cache/top_k",
        )


def _teacher_is_all(recipe: Recipe) -> None:
    """Refuse what would learn from labels, in a task that has none."""
    task = f"a task of {recipe.task.name}, where the teacher's outputs are all there is to learn"
    if not recipe.teacher.given:
        raise RecipeError(
            f"found a teacher that is yet to be trained in {task}; expected one that knows already",
            hint="name teacher.weights, or a model that comes trained (onnx, huggingface, "
            "artifact), without teacher.training",
            pointer="/teacher",
        )
    if recipe.baseline.enabled:
        raise RecipeError(
            f"found baseline: true in {task}: nobody learns them alone; expected false",
            hint="leave baseline out",
            pointer="/baseline",
        )
    for name, asked in {
        "labelled": recipe.data.labelled is not None,
        "unlabelled": not recipe.data.unlabelled,
    }.items():
        if asked:
            raise RecipeError(
                f"found data.{name}, which hides labels, in {task}; expected none to be hidden",
                hint=f"leave data.{name} out",
                pointer=f"/data/{name}",
            )
