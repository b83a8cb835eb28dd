"""What a method is: a paper's combination on the four axes, with the paper's defaults.

A method is data: it writes the axes in the recipe's own words, and the recipe checks them like any
hand-written ones. It stands in the file of the entry that makes it possible.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import JsonValue

from kdcore.entry import Entry


class Method(Entry):
    """A named combination on the axes; its fields are the knobs that the paper turns."""

    title: ClassVar[str]
    """The method's name in full, as people say it."""

    def axes(self) -> dict[str, JsonValue]:
        """Return the axes that this method sets, written as in a recipe."""
        raise NotImplementedError
