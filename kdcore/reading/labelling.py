"""Samples whose classes are told by name: numbered, and sorted into parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kdcore.reading.cells import as_number
from kdcore.reading.faults import Fault
from kdcore.reading.labels import NO_LABEL

_SHORT: Final = 60
Parts = dict[str, list[tuple[str, int]]]


@dataclass(frozen=True, slots=True)
class Named:
    """A sample, and what is told of it."""

    name: str
    """By which it is read."""
    label: str | None
    """The class's name; None where it has none."""
    part: str
    place: str
    """Where people find what is told."""


def numbered(names: Iterable[str]) -> dict[str, int]:
    """Return the label of each class: in order of the names, of numbers by size."""
    unique = set(names)
    numbers = {name: as_number(name) for name in unique}
    if any(number is None for number in numbers.values()):
        ordered = sorted(unique)
    else:
        ordered = sorted(unique, key=lambda name: (numbers[name] or 0.0, name))
    return {name: place for place, name in enumerate(ordered)}


def labelled(
    samples: Sequence[Named], faults: list[Fault], known: Sequence[str] | None = None
) -> tuple[tuple[str, ...], Parts]:
    """Return the names of the classes, and the samples of each part with their labels.

    The training part tells the classes, or the test part where no training sample has one, unless
    they are `known`. What is of another class becomes a fault, and so does what has none where
    others of its part have, but for training.
    """
    classes = {name: place for place, name in enumerate(known or ())}
    for telling in ("train", "test") if known is None else ():
        classes = classes or numbered(
            one.label for one in samples if one.label is not None and one.part == telling
        )
    tested = {one.part for one in samples if one.label is not None} - {"train"}
    parts: Parts = {"train": [], "test": []}
    for one in samples:
        label = NO_LABEL if one.label is None else classes.get(one.label)
        if label is None or (label == NO_LABEL and one.part in tested):
            found = "no class" if one.label is None else f"the class {one.label[:_SHORT]!r}"
            reason = f"tells {found} in the {one.part} part; expected one of the training part"
            faults.append(Fault(one.place, reason))
        else:
            parts.setdefault(one.part, []).append((one.name, label))
    return tuple(classes), parts
