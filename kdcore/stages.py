"""Which stage of a network an objective reads: by name, or the usual one.

In every model of images the stages that end in a feature map worth comparing are named `stage1`,
`stage2` and so on; the last stage is `head`, and what it is given is the embedding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from kdcore.errors import RecipeError

if TYPE_CHECKING:
    from kdcore.tensors import Shapes

Layer = Annotated[str, Field(min_length=1, max_length=64)]
"""The name of a stage."""
Layers = Annotated[
    list[Annotated[list[Layer], Field(min_length=2, max_length=2)]],
    Field(min_length=1, max_length=32),
]
"""Pairs of stages."""
_MAP = 3  # channels, height, width


def named(layer: str, shapes: Shapes, whose: str) -> str:
    """Return a stage's name.

    Raises:
        RecipeError: the network has no such stage.
    """
    if layer not in shapes:
        raise RecipeError(
            f"found no stage {layer!r} in the {whose}; expected one of {', '.join(shapes)}",
            hint="name one of its stages",
        )
    return layer


def maps(shapes: Shapes, whose: str) -> list[str]:
    """Return the stages that end in a feature map `(C, H, W)`, in order; a stem is none.

    Raises:
        RecipeError: there is none, as in a network of linear layers.
    """
    found = [
        name for name, shape in shapes.items() if len(shape) == _MAP and name.startswith("stage")
    ]
    if not found:
        raise RecipeError(
            f"found no feature map in the {whose}, whose stages are {', '.join(shapes)}; "
            "expected a convolutional network",
            hint="take a model such as resnet, or an objective that compares logits",
        )
    return found


def last_map(shapes: Shapes, whose: str, layer: str | None = None) -> str:
    """Return the stage named `layer`, which must end in a map, or the last one that does.

    Raises:
        RecipeError: no such stage, or no map.
    """
    if layer is None:
        return maps(shapes, whose)[-1]
    if len(shapes[named(layer, shapes, whose)]) != _MAP:
        raise RecipeError(
            f"stage {layer!r} of the {whose} has shape {shapes[layer]}; "
            "expected a feature map (channels, height, width)",
            hint=f"name one of {', '.join(maps(shapes, whose))}",
        )
    return layer


def embedding(shapes: Shapes, whose: str, layer: str | None = None) -> str:
    """Return the stage named `layer`, or the one whose output `(D,)` the head is given.

    Raises:
        RecipeError: no such stage, or the head is given no vector.
    """
    if layer is not None:
        return named(layer, shapes, whose)
    *before, _ = shapes
    if not before or len(shapes[before[-1]]) != 1:
        raise RecipeError(f"found no vector before the head of the {whose}; expected one")
    return before[-1]


def map_pairs(
    student: Shapes, teacher: Shapes, layers: list[list[str]] | None = None
) -> list[tuple[str, str]]:
    """Return pairs of a student's and a teacher's stage: `layers`, or the last ones in order.

    Raises:
        RecipeError: a stage is missing, or is no map.
    """
    if layers is not None:
        return [
            (last_map(student, "student", ours), last_map(teacher, "teacher", theirs))
            for ours, theirs in layers
        ]
    ours, theirs = maps(student, "student"), maps(teacher, "teacher")
    count = min(len(ours), len(theirs))
    return list(zip(ours[-count:], theirs[-count:], strict=True))
