"""Samples in files: what each is called, its part, its class, and how its bytes are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kdcore.events import Warned
from kdcore.reading.faults import Fault
from kdcore.reading.splitting import stratified

NO_LABEL: Final = -1
_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Collection:
    """Samples of all parts, none of them read."""

    shown: str
    """What people call the place."""
    class_names: tuple[str, ...]
    parts: Mapping[str, list[tuple[str, int]]]
    """`train`, `test`, and `validation` where there is one: name and label of each sample."""
    content: Callable[[str], bytes]
    """Reads a sample by its name."""
    faults: list[Fault] = field(default_factory=list[Fault])
    """What is named as a sample and cannot be used; it is in no part."""
    warnings: tuple[Warned, ...] = ()


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
