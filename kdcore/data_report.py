"""What a data set is like, before anything is trained on it: counts, copies, and what is broken."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class PartTold(_Record):
    """One part of the data."""

    samples: int
    labelled: int
    unlabelled: int


class ClassTold(_Record):
    """One class, or one of several labels."""

    label: int
    name: str
    counts: dict[str, int]
    """Samples by part."""
    thumbnails: list[str]
    """The first few of its training images, as data URIs of PNG files."""


class SampleTold(_Record):
    """Where a sample is found."""

    part: str
    name: str
    label: str | None
    """Its class; None where it has none."""


class Copies(_Record):
    """Samples that are the same to a network."""

    samples: list[SampleTold]
    """The first few of them."""
    count: int
    """All of them."""
    across: bool
    """Whether they are in more than one part."""
    conflicting: bool
    """Whether they name different classes."""


class Duplicates(_Record):
    """Samples that stand there more than once, value for value."""

    within: dict[str, int]
    """By part: samples that stand in it already."""
    across: dict[str, int]
    """`test in train` and the like: samples of the first part that are in the second as well."""
    conflicting: int
    """Samples among copies that name different classes."""
    groups: int
    """Different samples of which there is more than one."""
    shown: list[Copies]
    """The worst first: across parts, then with different classes."""


class FaultTold(_Record):
    """Something that cannot be used."""

    name: str
    reason: str


class Faults(_Record):
    """All that cannot be used; a training is refused for it, or leaves it out where it is told."""

    count: int
    shown: list[FaultTold]


class Sizes(_Record):
    """Images as they lie in their files, in pixels."""

    smallest: tuple[int, int]
    """Height and width of the image with the fewest pixels."""
    largest: tuple[int, int]
    different: int
    """Different sizes."""
    most: tuple[int, int]
    """The most frequent one."""
    share: float
    """Share of the images that have it."""


class ColumnTold(_Record):
    """One column of a table, over all parts."""

    name: str
    kind: Literal["number", "text"]
    missing: int
    distinct: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None


class Note(_Record):
    """Something worth knowing before a verdict is believed."""

    code: str
    message: str
    hint: str


class DataQuality(_Record):
    """What a run's report says of its data."""

    parts: dict[str, PartTold]
    imbalance: float | None
    duplicates: Duplicates
    notes: list[Note]


class DataReport(_Record):
    """A data set, walked over once."""

    format: Literal["stillhouse-data-report"] = "stillhouse-data-report"
    version: Literal[1] = 1
    data: str
    """The kind: `image_folder` and the like."""
    kind: str
    """What a sample is: `images`, `rows`, `texts` or `arrays`."""
    fingerprint: str
    """sha256 over what the samples are, their parts and labels: equal data, packed in any way."""
    parts: dict[str, PartTold]
    num_classes: int
    classes: list[ClassTold]
    """All of them, or all labels where a sample has several; of very many, the smallest and the
    largest."""
    imbalance: float | None
    """Samples of the largest class in the training part for one of the smallest that has any."""
    duplicates: Duplicates
    faults: Faults
    sizes: Sizes | None
    image_size: tuple[int, int] | None = None
    """Height and width that images were brought to; copies and thumbnails are of these."""
    columns: list[ColumnTold]
    notes: list[Note]
