"""Which layers of a transformer an objective reads: its hidden states, and its projections.

They are found by their paths and shapes, so an encoder of images is one as well: layers that are
numbered in one place and each give `(L, D)`, L tokens or patches of D numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import Discriminator, Tag

from kdcore.errors import RecipeError
from kdcore.lazy import torch
from kdcore.stages import Layers, LayerShapes, named

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.tensors import Batch, Shapes, Sizes


def _map_form(value: object) -> str:
    return "rule" if isinstance(value, str) else "pairs"


LayerMap = Annotated[
    Annotated[Literal["uniform", "last"], Tag("rule")] | Annotated[Layers, Tag("pairs")],
    Discriminator(_map_form),
]
"""Which layers are compared: a rule, or pairs of paths [student's, teacher's]."""
_TOKENS: Final = 2
_PROJECTIONS: Final = {
    "query": ("query", "q_lin", "q_proj"),
    "key": ("key", "k_lin", "k_proj"),
    "value": ("value", "v_lin", "v_proj"),
}
Projection = Literal["query", "key", "value"]


@dataclass(frozen=True, slots=True)
class Encoder:
    """The layers of a transformer by their paths, in order."""

    embeddings: str | None
    """What the first layer is given, where a module gives that."""
    layers: tuple[str, ...]


def encoder(shapes: Shapes, whose: str) -> Encoder:
    """Return the layers of a transformer.

    Raises:
        RecipeError: there are none, or layers are numbered in several places.
    """
    places: dict[str, list[str]] = {}
    for path, shape in shapes.items():
        place, _, number = path.rpartition(".")
        within = any(map(str.isdecimal, place.split(".")))  # a part of a numbered layer
        if number.isdecimal() and not within and len(shape) == _TOKENS:
            places.setdefault(place, []).append(path)
    if len(places) != 1:
        found = ", ".join(places) or "none"
        raise RecipeError(
            f"found numbered layers of tokens (L, D) in the {whose} in these places: {found}; "
            "expected one place, as in a transformer such as bert",
            hint="take a text encoder, name layers in pairs, or take an objective such as kd",
        )
    ((place, layers),) = places.items()
    before: str | None = None
    for path in shapes:
        if path.startswith(f"{place}.0"):
            break
        if shapes[path] == shapes[layers[0]]:
            before = path
    return Encoder(before, tuple(layers))


def layer_pairs(sizes: Sizes, layers: LayerMap) -> list[tuple[str, str]]:
    """Return pairs of a student's and a teacher's layer.

    `uniform` takes for layer i of n the teacher's layer i * m / n of m, counted from 1; `last` the
    last of both.

    Raises:
        RecipeError: a network is no transformer, a layer is missing, or m is no multiple of n.
    """
    if not isinstance(layers, str):
        return [
            (named(ours, sizes.student, "student"), named(theirs, sizes.teacher, "teacher"))
            for ours, theirs in layers
        ]
    ours = encoder(sizes.student, "student").layers
    theirs = encoder(sizes.teacher, "teacher").layers
    if layers == "last":
        return [(ours[-1], theirs[-1])]
    every, rest = divmod(len(theirs), len(ours))
    if rest or not every:
        raise RecipeError(
            f"found {len(ours)} layers in the student and {len(theirs)} in the teacher; expected "
            "a multiple of the student's for layers: uniform",
            hint="set layers to last, or to pairs of paths",
        )
    return list(zip(ours, theirs[every - 1 :: every], strict=True))


def embeddings_pair(sizes: Sizes) -> list[tuple[str, str]]:
    """Return what the first layers of both networks are given, where both tell it."""
    ours = encoder(sizes.student, "student").embeddings
    theirs = encoder(sizes.teacher, "teacher").embeddings
    return [(ours, theirs)] if ours and theirs else []


def projection(shapes: Shapes, whose: str, layer: str, which: Projection) -> str:
    """Return the path of a layer's projection to queries, keys or values.

    Raises:
        RecipeError: the layer has none, or several.
    """
    named(layer, shapes, whose)
    names = _PROJECTIONS[which]
    found = [
        path for path in shapes if path.startswith(f"{layer}.") and path.rpartition(".")[2] in names
    ]
    if len(found) != 1:
        raise RecipeError(
            f"found {len(found)} projections to the {which} in layer {layer!r} of the {whose}; "
            f"expected one, called {', '.join(names[:-1])} or {names[-1]}",
            hint="take an architecture such as bert, distilbert or roberta, or an objective such "
            "as hidden_states",
        )
    return found[0]


def attention_heads(sizes: Sizes) -> tuple[int, int]:
    """Return how many attention heads student and teacher have; 0 is not known."""
    ours, theirs = (
        shapes.attention_heads if isinstance(shapes, LayerShapes) else 0
        for shapes in (sizes.student, sizes.teacher)
    )
    return ours, theirs


def need_tokens(sizes: Sizes, pairs: Sequence[tuple[str, str]], asking: str) -> None:
    """Refuse pairs that do not both give equally many tokens `(L, D)`.

    Raises:
        RecipeError: one does not.
    """
    for ours, theirs in pairs:
        found, expected = sizes.student[ours], sizes.teacher[theirs]
        if len(found) != _TOKENS or len(expected) != _TOKENS or found[0] != expected[0]:
            raise RecipeError(
                f"{asking}: layer {ours!r} of the student has shape {found}, layer {theirs!r} of "
                f"the teacher {expected}; expected equally many tokens (L, D) of both",
                hint="name layers of an encoder",
            )


def by_head(features: Tensor, heads: int) -> Tensor:
    """Divide features `(B, L, D)` among heads: `(B, heads, L, D / heads)`."""
    batch, length, width = features.shape
    return features.reshape(batch, length, heads, width // heads).transpose(1, 2)


def real_tokens(batch: Batch, features: Tensor) -> Tensor:
    """Return 1 for each token and 0 for padding, `(B, L)`, for features `(B, L, D)`.

    Where inputs are no texts, every token is real.
    """
    if batch.padding is None:
        return torch.ones(features.shape[:2], dtype=features.dtype, device=features.device)
    return (batch.inputs != batch.padding).to(features.dtype)
