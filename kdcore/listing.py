"""The layers of a recipe's networks, so that people can name them: path, shape, parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from kdcore.corpus import load_corpus
from kdcore.errors import RecipeError
from kdcore.evaluate import count_parameters
from kdcore.model import Model
from kdcore.network import shapes_of
from kdcore.recipe import Recipe
from kdcore.sides import located
from kdcore.stages import embedding, maps
from kdcore.tensors import Shapes


def listing(recipe: Recipe, inputs: Path) -> Iterator[str]:
    """Tell the layers of teacher and student, in lines; data is read where its form is not known.

    A `*` marks the maps, and a `+` the embedding, that objectives take where none is named.

    Raises:
        KdcoreError: a network cannot be built, or the data not be read.
    """
    recipe = located(recipe, inputs)
    form = recipe.data.form()
    if form is None:
        corpus = load_corpus(recipe.data, inputs, torch.device("cpu"), recipe.task)
        form = corpus.input_shape, corpus.num_classes
    networks = {"teacher": recipe.teacher.model, "student": recipe.student.model}
    for whose, model in networks.items():
        yield from _told(whose, model, *form)


def _told(whose: str, model: Model, shape: tuple[int, ...], classes: int) -> Iterator[str]:
    with torch.device("meta"):
        network = model.build(shape, classes)
    shapes = shapes_of(network, shape)
    usual = _usual(shapes, whose)
    taken = f"inputs {_size(shape)}, {classes} classes"
    yield f"{whose}: {model.label()}, {taken}, {count_parameters(network):,} parameters"
    width = max(map(len, shapes))
    for name, size in shapes.items():
        line = (
            f"{usual.get(name, ' ')} {name:{width}}  {_size(size):>14}  {_numbers(network, name)}"
        )
        yield f"  {line}".rstrip()


def _usual(shapes: Shapes, whose: str) -> dict[str, str]:
    """Return the marks of the layers that objectives take by themselves."""
    marks: dict[str, str] = {}
    with contextlib.suppress(RecipeError):  # a network of vectors or tokens has none
        marks |= dict.fromkeys(maps(shapes, whose), "*")
    with contextlib.suppress(RecipeError):
        marks[embedding(shapes, whose)] = "+"
    return marks


def _numbers(network: nn.Module, name: str) -> str:
    """Return how many parameters a layer has, with all that is in it."""
    try:
        count = count_parameters(network.get_submodule(name))
    except AttributeError:  # what the head is given, or an output of a file
        return ""
    return f"{count:>12,}" if count else ""


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
