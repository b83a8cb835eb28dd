"""The two networks of a recipe: the one that knows, and the one that learns."""

from __future__ import annotations

from typing import Annotated

from kdcore.entry import OneOf, Record
from kdcore.inputs import InputPath
from kdcore.model import Model
from kdcore.models import MODELS
from kdcore.training import Training

AnyModel = Annotated[Model, OneOf(MODELS)]


class Teacher(Record):
    """The network that knows."""

    model: AnyModel
    """Its architecture."""
    weights: InputPath | None = None
    """A safetensors file in the inputs folder; without it the teacher is trained first."""
    training: Training | None = None
    """How it is trained; like the student where not given."""


class Student(Record):
    """The network that learns."""

    model: AnyModel
    """Its architecture."""


def a_network(value: object) -> object:
    """Let a bare model name stand for a network of that model."""
    return {"model": value} if isinstance(value, str) else value
