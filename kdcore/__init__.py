"""The distillation engine: a recipe in, events out, a student at the end.

>>> from kdcore import Recipe, distill
>>> for event in distill(Recipe.model_validate(document), workdir):
...     print(event)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdcore.recipe import Recipe

if TYPE_CHECKING:
    from kdcore.describing import describe, describe_table
    from kdcore.model_file import layers_in
    from kdcore.preflight import look
    from kdcore.story import distill
    from kdcore.student import load_student

__all__ = ["Recipe", "describe", "describe_table", "distill", "layers_in", "load_student", "look"]


def __getattr__(name: str) -> Any:
    """Import the engine proper, and torch with it, on first use."""
    if name == "distill":
        from kdcore.story import distill

        return distill
    if name == "describe":
        from kdcore.describing import describe

        return describe
    if name == "describe_table":
        from kdcore.describing import describe_table

        return describe_table
    if name == "layers_in":
        from kdcore.model_file import layers_in

        return layers_in
    if name == "look":
        from kdcore.preflight import look

        return look
    if name == "load_student":
        from kdcore.student import load_student

        return load_student
    raise AttributeError(name)
