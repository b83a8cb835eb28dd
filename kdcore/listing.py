"""The layers of a recipe's networks, so that people can name them: path, shape, parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import torch
from torch import nn

from kdcore.corpus import load_corpus
from kdcore.errors import RecipeError
from kdcore.evaluate import count_parameters
from kdcore.inspected import LayerTold
from kdcore.model import Model
from kdcore.network import shapes_of
from kdcore.recipe import Recipe
from kdcore.settling import settled
from kdcore.stages import embedding, maps
from kdcore.tensors import Shapes

_MARKS: Final = {"map": "*", "embedding": "+", None: " "}


def listing(recipe: Recipe, inputs: Path) -> Iterator[str]:
    """Tell the layers of teacher and student, in lines; data is read where its form is not known.

    A `*` marks the maps, and a `+` the embedding, that objectives take where none is named.

    Raises:
        KdcoreError: a network cannot be built, or the data not be read.
    """
    recipe = settled(recipe, inputs)
    form = recipe.form()
    if form is None:
        corpus = load_corpus(recipe.data, inputs, torch.device("cpu"), recipe.task)
        form = corpus.input_shape, corpus.num_classes
    networks = {"teacher": recipe.teacher.model, "student": recipe.student.model}
    for whose, model in networks.items():
        yield from _told(whose, model, *form)


def layers_told(network: nn.Module, shapes: Shapes, whose: str) -> list[LayerTold]:
    """Return what is told of a network's layers; `shapes` are those of one sample."""
    usual = _usual(shapes, whose)
    return [
        LayerTold(
            path=path,
            shape=list(shape),
            parameters=_numbers(network, path),
            role=usual.get(path),
        )
        for path, shape in shapes.items()
    ]


def _told(whose: str, model: Model, shape: tuple[int, ...], classes: int) -> Iterator[str]:
    with torch.device("meta"):
        network = model.build(shape, classes)
    layers = layers_told(network, shapes_of(network, shape), whose)
    taken = f"inputs {_size(shape)}, {classes} classes"
    yield f"{whose}: {model.label()}, {taken}, {count_parameters(network):,} parameters"
    width = max(len(layer.path) for layer in layers)
    for layer in layers:
        numbers = "" if layer.parameters is None else f"{layer.parameters:>12,}"
        size = _size(layer.shape)
        yield f"  {_MARKS[layer.role]} {layer.path:{width}}  {size:>14}  {numbers}".rstrip()


def _usual(shapes: Shapes, whose: str) -> dict[str, Literal["map", "embedding"]]:
    """Return what the layers are that objectives take by themselves."""
    roles: dict[str, Literal["map", "embedding"]] = {}
    with contextlib.suppress(RecipeError):  # a network of vectors or tokens has none
        roles |= dict.fromkeys(maps(shapes, whose), "map")
    with contextlib.suppress(RecipeError):
        roles[embedding(shapes, whose)] = "embedding"
    return roles


def _numbers(network: nn.Module, name: str) -> int | None:
    """Return how many parameters a layer has, with all that is in it; None where it has none."""
    try:
        return count_parameters(network.get_submodule(name)) or None
    except AttributeError:  # what the head is given, or an output of a file
        return None


def _size(shape: tuple[int, ...] | list[int]) -> str:
    return "x".join(map(str, shape))
