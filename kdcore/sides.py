"""The two networks of a recipe: the one that knows, and the one that learns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field

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

    license: (
        Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]{0,63}$")] | None
    ) = None
    """Licence of its weights, by its SPDX identifier (`apache-2.0`); the student's model card tells
    it."""

    @property
    def given(self) -> bool:
        """Whether it is trained already: by its weights, or by what its model brings along."""
        return self.weights is not None or (self.model.comes_trained and self.training is None)


class Student(Record):
    """The network that learns."""

    model: AnyModel
    """Its architecture."""


def located(value: object, inputs: Path) -> Any:
    """Return a part of a recipe with every model's files looked for under a folder."""
    if isinstance(value, Model):
        return value.located(inputs)
    if isinstance(value, list):
        return [located(one, inputs) for one in cast("list[object]", value)]
    if isinstance(value, Record):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        return value.model_copy(update={name: located(one, inputs) for name, one in fields.items()})
    return value


def models_in(value: object) -> Iterator[Model]:
    """Yield every model that stands in a part of a recipe."""
    if isinstance(value, Model):
        yield value
    elif isinstance(value, list):
        for one in cast("list[object]", value):
            yield from models_in(one)
    elif isinstance(value, Record):
        for name in type(value).model_fields:
            yield from models_in(getattr(value, name))


def a_network(value: object) -> object:
    """Let a bare model name stand for a network of that model."""
    return {"model": value} if isinstance(value, str) else value
