"""What a method is: a paper's combination on the axes, with the paper's defaults.

A method is data: it writes the axes in the recipe's own words, and the recipe checks them like any
hand-written ones. It stands in the file of the entry that makes it possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from pydantic import JsonValue

from kdcore.entry import Entry


class Pair(NamedTuple):
    """Who teaches whom, by the names that papers give them."""

    teacher: str
    """Such as `resnet56`, or the model's plain name where its sizes are nobody's."""
    student: str


class Method(Entry):
    """A named combination on the axes; its fields are the knobs that the paper turns."""

    title: ClassVar[str]
    """The method's name in full, as people say it."""
    by_pair: ClassVar[Mapping[str, Mapping[Pair, float]]] = {}
    """Values that the paper chose by pair: field -> pair -> value. Such a field is None by default,
    which takes the pair's value, or the method's own where the pair is not in the table."""

    def chosen(self, option: str, pair: Pair, default: float) -> float:
        """Return an option as it was given, or its value for the pair, or the default."""
        given: float | None = getattr(self, option)
        return self.by_pair[option].get(pair, default) if given is None else given

    def axes(self, pair: Pair) -> dict[str, JsonValue]:
        """Return the axes that this method sets, written as in a recipe."""
        raise NotImplementedError
