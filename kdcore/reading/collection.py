"""Samples in files: what each is called, its part, its class, and how its bytes are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from kdcore.events import Warned
from kdcore.reading.faults import Fault
from kdcore.reading.labels import Label
from kdcore.reading.splitting import stratified

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Collection:
    """Samples of all parts, none of them read."""

    shown: str
    """What people call the place."""
    class_names: tuple[str, ...]
    """Of the outputs: classes, labels, or numbers."""
    parts: Mapping[str, Sequence[tuple[str, Label]]]
    """`train`, `test`, and `validation` where there is one: name and label of each sample."""
    content: Callable[[str], bytes]
    """Reads a sample by its name."""
    faults: list[Fault] = field(default_factory=list[Fault])
    """What is named as a sample and cannot be used; it is in no part."""
    warnings: tuple[Warned, ...] = ()
    one_class: bool = True
    """Whether each label is a class; otherwise there is one 0 or 1, or one number, by output."""
    units: tuple[float, ...] = ()
    """How much of what the user counts in is 1 in each output, where these are numbers."""
    labels_told: JsonValue = None
    """What is delivered of labels that are no class."""


def drawn(
    samples: list[tuple[str, int]], keys: Iterable[str], share: float, seed: int
) -> dict[str, list[tuple[str, int]]]:
    """Return a training and a test part; a `share` of each class is drawn by `seed` and keys.

    Raises:
        DataError: a class has one sample, which cannot be in both parts.
    """
    tested = stratified(list(keys), [label for _, label in samples], share, seed)
    parts: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for sample, test in zip(samples, tested, strict=True):
        parts["test" if test else "train"].append(sample)
    return parts


def several(names: Iterable[object]) -> str:
    """Return sentences or names in a row, the first few of many."""
    told = [str(name) for name in names]
    more = f", and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return "; ".join(told[:_SHOWN]) + more
