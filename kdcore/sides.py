"""The two networks of a recipe: the one that knows, and the one that learns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self, cast

from pydantic import Field, PrivateAttr

from kdcore.entry import OneOf, Record
from kdcore.inputs import InputPath, Start
from kdcore.model import Model
from kdcore.models import MODELS
from kdcore.training import Training

AnyModel = Annotated[Model, OneOf(MODELS)]


class Side(Record):
    """A network of a recipe, and the weights that it begins with."""

    model: AnyModel
    """Its architecture."""
    weights: InputPath | None = None
    """A safetensors file in the inputs folder that it begins with. A teacher is taken as it is with
    these weights, unless it has a new head or a `training`; without any it is trained first."""
    new_head: bool = False
    """Take the weights but for the head, which is drawn anew for the data's classes, whatever the
    file has in its place. Such a teacher is trained first, from these weights."""

    _inputs: Path = PrivateAttr(Path())

    def located(self, inputs: Path) -> Self:
        """Return the same with its files looked for under a folder."""
        found = self.model_copy(update={"model": self.model.located(inputs)})
        found._inputs = inputs  # noqa: SLF001  # its own
        return found

    def start(self) -> Start | None:
        """Return the file that it begins with, if any."""
        if self.weights is None:
            return None
        return Start(self._inputs / self.weights, str(self.weights), self.new_head)


class Teacher(Side):
    """The network that knows."""

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
        if self.training is not None or self.new_head:
            return False
        return self.weights is not None or self.model.comes_trained


class Student(Side):
    """The network that learns."""


def located(value: object, inputs: Path) -> Any:
    """Return a part of a recipe with every model's files looked for under a folder."""
    if isinstance(value, Model | Side):
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
