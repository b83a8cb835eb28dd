"""What a walk over a data set meets: samples as they lie in files, and what is wrong there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kdcore.data_report import ColumnTold
from kdcore.events import Warned
from kdcore.reading.faults import Fault
from kdcore.reading.labels import Label


@dataclass(frozen=True, slots=True)
class Seen:
    """One sample."""

    part: str
    """`train`, `test` or `validation`."""
    name: str
    label: Label
    digest: bytes
    """16 bytes; equal where the network is given the same."""
    picture: Callable[[], str | None] | None = None
    """Draws it as a PNG in base64, if it is an image."""
    size: tuple[int, int] | None = None
    """Height and width in its file."""


@dataclass(frozen=True, slots=True)
class Survey:
    """A data set, walked over once."""

    kind: str
    """`images`, `rows`, `texts` or `arrays`."""
    class_names: tuple[str, ...]
    """Of classes, or of labels where a sample has several."""
    samples: Iterator[Seen | Fault]
    """A sample that cannot be read is a fault in its place."""
    faults: list[Fault]
    """What is known before any sample is read."""
    columns: list[ColumnTold]
    warnings: tuple[Warned, ...]
    image_size: tuple[int, int] | None = None
    """Height and width that images were brought to, if these are images."""
