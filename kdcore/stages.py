"""Which stage of a network an objective reads: by name, or the usual one.

In every model of ours for images the stages that end in a feature map worth comparing are named
`stage1`, `stage2` and so on; the last stage is `head`, and what it is given is the embedding.
Layers of a foreign network are named by their paths, such as `layer3.1.conv2`; which of them are
usual was found out when it was run (`LayerShapes`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field

from kdcore.errors import RecipeError

if TYPE_CHECKING:
    from kdcore.tensors import Shapes

Layer = Annotated[str, Field(min_length=1, max_length=128)]
"""The name of a stage, or the path of a layer."""
Layers = Annotated[
    list[Annotated[list[Layer], Field(min_length=2, max_length=2)]],
    Field(min_length=1, max_length=32),
]
"""Pairs of stages."""
INPUT: Final = ".input"
"""Behind the path of a foreign network's head: what the head is given."""
_MAP = 3  # channels, height, width
_MOST_SHOWN = 12
_LIST_THEM = "name a layer; `python -m kdcore layers` lists them"


class LayerShapes(dict[str, tuple[int, ...]]):
    """Shapes of a foreign network's layers by path, in the order in which they are done."""

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        *,
        maps: tuple[str, ...],
        head: str | None,
        embedding: str | None,
        attention_heads: int = 0,
    ) -> None:
        """Keep with the shapes the usual maps, what gives the logits, and the vector before it.

        `attention_heads` is how many share each projection of a transformer; 0 is not known.
        """
        super().__init__(shapes)
        self.maps = maps
        self.head = head
        self.embedding = embedding
        self.attention_heads = attention_heads


def named(layer: str, shapes: Shapes, whose: str) -> str:
    """Return a stage's name.

    Raises:
        RecipeError: the network has no such stage.
    """
    if layer not in shapes:
        foreign = isinstance(shapes, LayerShapes)
        raise RecipeError(
            f"found no {'layer' if foreign else 'stage'} {layer!r} in the {whose}; "
            f"expected one of {_told(shapes, layer)}",
            hint=_LIST_THEM if foreign else "name one of its stages",
        )
    return layer


def _told(shapes: Shapes, near: str = "") -> str:
    """Return the names, or where they are very many those that are meant most likely."""
    if len(shapes) <= _MOST_SHOWN:
        return ", ".join(shapes)
    close = difflib.get_close_matches(near, shapes, _MOST_SHOWN, 0.5) or [*shapes][-_MOST_SHOWN:]
    return f"{', '.join(close)} and {len(shapes) - len(close)} more"


def maps(shapes: Shapes, whose: str) -> list[str]:
    """Return the stages that end in a feature map `(C, H, W)`, in order; a stem is none.

    Raises:
        RecipeError: there is none, as in a network of linear layers.
    """
    if isinstance(shapes, LayerShapes):
        found = list(shapes.maps)
    else:
        found = [
            name
            for name, shape in shapes.items()
            if len(shape) == _MAP and name.startswith("stage")
        ]
    if not found:
        raise RecipeError(
            f"found no feature map in the {whose}, whose stages are {_told(shapes)}; "
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
    if isinstance(shapes, LayerShapes):
        if shapes.embedding is None:
            raise RecipeError(
                f"found no layer of the {whose} that makes the logits of one vector; "
                "expected its embedding to be named",
                hint=_LIST_THEM,
            )
        return shapes.embedding
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
