"""What a data set is: a typed description that reads images or vectors with their labels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import Discriminator, Field, JsonValue, Tag

from kdcore.entry import Entry, Record
from kdcore.events import Warned
from kdcore.tokens import Ids

if TYPE_CHECKING:
    from torch import Tensor

    from kdcore.reading.survey import Survey


def _views_form(value: object) -> str:
    return "fresh" if isinstance(value, str) else "number"


Alpha = Annotated[float, Field(ge=0, le=1000)]


class Augmentation(Record):
    """Random changes of the training images, drawn anew for each view of each sample."""

    crop_padding: Annotated[int, Field(ge=0, le=64)] = 0
    """Shift the image by up to this many pixels each way, black coming in; 0 is off."""
    horizontal_flip: bool = False
    """Mirror half of the views."""
    mixup: Alpha = 0.0
    """Blend each image with another one, by a share from Beta(mixup, mixup); 0 is off. Labels are
    blended alike, and a teacher is asked about the blend (arXiv:1710.09412, arXiv:2106.05237)."""
    cutmix: Alpha = 0.0
    """Paste a box of another image into each one, its area a share from Beta(cutmix, cutmix); 0 is
    off, and beside mixup each view takes one of the two, evenly (arXiv:1905.04899)."""
    mixup_prob: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the views that mixup or cutmix changes."""
    views: Annotated[
        Annotated[int, Field(ge=1, le=1000), Tag("number")]
        | Annotated[Literal["fresh"], Tag("fresh")],
        Discriminator(_views_form),
    ] = "fresh"
    """How many views of each sample there are, the same for all seeds and jobs, so that a teacher
    answers each but once; students meet them in turn, pass after pass. fresh draws a new one in
    every pass, and the teacher is asked in every step."""

    @property
    def changes(self) -> bool:
        """Whether a view differs from the image."""
        return bool(self.crop_padding) or self.horizontal_flip or self.mixes

    @property
    def mixes(self) -> bool:
        """Whether a view may be made of two images."""
        return bool(self.mixup or self.cutmix) and bool(self.mixup_prob)

    def what_changes(self) -> dict[str, Any]:
        """Return what makes a view, as it is written beside kept answers: equal views, equal text.

        Mixes stand in it where there are any, so that views without are found as they were named.
        """
        unread = {"views"} | (set[str]() if self.mixes else {"mixup", "cutmix", "mixup_prob"})
        return self.model_dump(mode="json", exclude=unread)


PARQUET: Final = ".parquet"
"""How the name of a file ends that is one."""


class Dataset(Entry):
    """One source of data."""

    labelled: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """How many training samples keep their label for the student, spread evenly over the classes
    and drawn anew for each seed; all where it is not given. The teacher keeps every label."""
    unlabelled: bool = True
    """Let the student also see the samples whose label is hidden; a baseline never can."""
    validation_size: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    """Samples taken out of the training set, the same for every seed, to follow the training on."""
    augmentation: Augmentation = Augmentation()
    """Random changes of the training images."""

    tasks: ClassVar[frozenset[str] | None] = frozenset({"classification", "embedding"})

    def form(self) -> tuple[tuple[int, ...], int] | None:
        """Return the shape of a sample and the number of classes, if known before reading."""
        return None

    def extras(self) -> frozenset[str]:
        """Return what must be installed: a file of Parquet needs its reader."""
        values = (getattr(self, name) for name in type(self).model_fields)
        is_parquet = any(str(value).lower().endswith(PARQUET) for value in values)
        return super().extras() | ({"data"} if is_parquet else set[str]())

    def train_samples(self) -> int | None:
        """Return the training samples, those for validation among them, if known before reading."""
        return None

    def may_validate(self) -> bool:
        """Return whether there are validation samples, or may be: files tell when they are read."""
        return self.validation_size > 0

    def read(self, inputs: Path) -> Source:
        """Read the data, files being looked for under the folder `inputs`.

        Raises:
            DataError: a file is missing or is not what it should be.
        """
        raise NotImplementedError

    def read_for(self, task: str, inputs: Path) -> Source:  # others look at it
        """Read the data with labels as a task wants them; a set of classes has but these.

        Raises:
            DataError: as `read`.
        """
        return self.read(inputs)

    def survey(self, inputs: Path, task: str) -> AbstractContextManager[Survey] | None:
        """Open the data for the data report; None where files tell nothing more than `read` does.

        In a task that has no classes, no sample has one.

        Raises:
            DataError: it is not what it should be as a whole.
        """
        return None


@dataclass(frozen=True, slots=True)
class Samples:
    """One part of the data."""

    inputs: Tensor
    """`(N, *shape)`, float32; texts are `(N, L)`, int64 ids of tokens."""
    labels: Tensor
    """`(N,)`, int64 in [0, C): one class each; `(N, C)`, int64: 0 or 1 for each label; or `(N, C)`,
    float32: numbers. See `kdcore.tensors.HIDDEN` for what is not known."""
    texts: tuple[str, ...] = ()
    """`N` texts as they were written, for the report, where samples are texts."""
    own: Tensor | None = None
    """The labels that the data has, where the teacher's answers stand in their place."""


@dataclass(frozen=True, slots=True)
class Source:
    """What an entry reads, not checked yet."""

    train: Samples
    test: Samples
    num_classes: int
    """What a network is to say of a sample: classes, labels or numbers."""
    black: tuple[float, ...] = (0.0,)
    """What comes in from beyond the border of an image, one value for all channels or one each."""
    validation: Samples | None = None
    """The data's own; it takes the place of `validation_size`."""
    class_names: tuple[str, ...] = ()
    """Of the outputs, where they have names."""
    units: tuple[float, ...] = ()
    """How much of what the user counts in is 1 in each output, where these are numbers."""
    preprocessing: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """How a sample becomes the network's input; it is delivered with the student."""
    warnings: tuple[Warned, ...] = ()
    """What was met while reading, and is probably not meant."""
    ids: Ids | None = None
    """The shape of a sample where samples are texts."""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    """What is delivered with the student by name, such as a tokenizer; other files, other data."""

    def parts(self) -> dict[str, Samples]:
        """Return the parts by the words for them."""
        parts = {"training": self.train, "test": self.test}
        return parts if self.validation is None else {**parts, "validation": self.validation}
