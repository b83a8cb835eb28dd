"""What the networks of a recipe begin with, once its data is known."""

from __future__ import annotations

import torch
from torch import nn

from kdcore.corpus import Corpus
from kdcore.errors import WeightsError
from kdcore.inputs import Start
from kdcore.model import Model
from kdcore.network import build
from kdcore.recipe import Recipe
from kdcore.weights import fitting_weights, load_weights


def begin(
    model: Model, input_shape: tuple[int, ...], num_classes: int, seed: int, start: Start | None
) -> nn.Module:
    """Build a network as its training begins: from a file, or else as its model says.

    What the file does not tell depends on `seed`.

    Raises:
        WeightsError: the file does not fit.
    """
    network = build(model, input_shape, num_classes, seed, furnished=start is None)
    if start is not None:
        anew = model.heads(network) if start.new_head else ()
        load_weights(network, start.file, start.shown, anew=anew)
    return network


def given_teacher(recipe: Recipe, corpus: Corpus) -> nn.Module:
    """Return the teacher that is trained already, with its weights, on the CPU.

    Raises:
        WeightsError: they do not fit.
        RecipeError: it cannot be built.
    """
    teacher, shape, classes = recipe.teacher, corpus.input_shape, corpus.num_classes
    return begin(teacher.model, shape, classes, seed=0, start=teacher.start())


def check_starts(recipe: Recipe, corpus: Corpus) -> None:
    """Hold the files that networks begin with against them, built without numbers.

    Raises:
        WeightsError: one does not fit; its pointer says which.
    """
    for whose, side in (("teacher", recipe.teacher), ("student", recipe.student)):
        if (start := side.start()) is None:
            continue
        with torch.device("meta"):
            network = side.model.build(corpus.input_shape, corpus.num_classes)
        anew = side.model.heads(network) if start.new_head else ()
        try:
            fitting_weights(network, start.file, start.shown, anew)
        except WeightsError as error:
            error.pointer = f"/{whose}/weights"
            raise
