"""What all images in files have in common: how they are brought to one size, and become numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator
from pydantic_core import PydanticCustomError

from kdcore.dataset import Dataset, Samples, Source
from kdcore.entry import Record
from kdcore.errors import DataError
from kdcore.events import Warned
from kdcore.lazy import torch
from kdcore.reading.collection import Collection, several
from kdcore.reading.faults import Fault
from kdcore.reading.images import Decoded, Fit, Frame, decoded, thumbnail
from kdcore.reading.labels import Label
from kdcore.reading.survey import Seen, Survey

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 2**33
_MAX_SIDE = 4096
_IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_DIGEST: Final = 16

Side = Annotated[int, Field(ge=1, le=_MAX_SIDE)]


class Moments(Record):
    """What is subtracted from each channel, and what it is divided by, pixels being in [0, 1]."""

    mean: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=1, max_length=3)]
    """One for each channel."""
    std: Annotated[
        list[Annotated[float, Field(ge=1e-3, le=1000)]], Field(min_length=1, max_length=3)
    ]
    """One for each channel."""


def _size_form(value: object) -> str:
    return "sides" if isinstance(value, list | tuple) else "square"


def _moments_form(value: object) -> str:
    return "known" if isinstance(value, str) else "own"


class ImageSet(Dataset):
    """Images in files; where the files are, and which classes, is the entry's own."""

    image_size: Annotated[
        Annotated[Side, Tag("square")]
        | Annotated[Annotated[list[Side], Field(min_length=2, max_length=2)], Tag("sides")],
        Discriminator(_size_form),
    ]
    """Pixels of a side, or `[height, width]`: every image is resized to it."""
    channels: Literal[1, 3] = 3
    """1 is grey, 3 is red, green, blue."""
    fit: Fit = "stretch"
    """How an image of another shape is fitted: stretch keeps all of it, crop keeps its proportions
    and cuts off what juts out, evenly."""
    normalize: Annotated[
        Annotated[Literal["none", "imagenet", "teacher"], Tag("known")]
        | Annotated[Moments, Tag("own")],
        Discriminator(_moments_form),
    ] = "none"
    """none leaves pixels in [0, 1]; imagenet takes ImageNet's mean and std; teacher those that the
    teacher's weights were trained on, as its library or folder tells; or `mean` and `std`."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class that is drawn for testing, where the data has no test part."""
    split_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of this draw; the job's own seeds leave it as it is."""
    skip_broken: bool = False
    """Leave images out that cannot be used, and warn of them; otherwise they end the job."""

    @model_validator(mode="after")
    def _one_for_each_channel(self) -> Self:
        for values in self.moments():
            if len(values) != self.channels:
                raise PydanticCustomError(
                    "moments_mismatch",
                    "found {found} values in normalize for {channels} channels; expected one each",
                    {"found": len(values), "channels": self.channels},
                )
        return self

    def collected(self, inputs: Path) -> AbstractContextManager[Collection]:
        """Open the files, sorted into parts and classes; none of them is read.

        Raises:
            DataError: they are not as expected.
        """
        raise NotImplementedError

    def collected_for(self, task: str, inputs: Path) -> AbstractContextManager[Collection]:  # noqa: ARG002  # a table looks at it
        """Open the files with labels as a task wants them; others have but classes.

        Raises:
            DataError: as `collected`.
        """
        return self.collected(inputs)

    def frame(self) -> Frame:
        """Return what every image is brought to."""
        size = self.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return Frame(self.channels, height, width, self.fit)

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and std of each channel; 0 and 1 where they are yet to be learned."""
        if isinstance(self.normalize, Moments):
            return tuple(self.normalize.mean), tuple(self.normalize.std)
        if self.normalize == "imagenet":
            return _IMAGENET
        return (0.0,) * self.channels, (1.0,) * self.channels

    def may_validate(self) -> bool:
        """Return True: the files may bring a validation part."""
        return True

    def normalized(self, mean: Sequence[float], std: Sequence[float]) -> Self:
        """Return the same with the numbers in the place of `teacher`."""
        own = Moments(mean=[*mean], std=[*std])
        return self.model_copy(update={"normalize": own})

    def read(self, inputs: Path) -> Source:
        """Decode every image, each of a class."""
        return self.read_for("classification", inputs)

    def read_for(self, task: str, inputs: Path) -> Source:
        """Decode every image.

        Raises:
            DataError: the files are not as expected, images are broken, or they need too much
                memory.
        """
        with self.collected_for(task, inputs) as found:
            self._check(found)
            broken: list[Fault] = []
            parts = {
                part: self._part(found, samples, broken) for part, samples in found.parts.items()
            }
        if broken and not self.skip_broken:
            raise DataError(
                f"{found.shown}: {_told(broken, 'broken image')}",
                hint="repair or remove them, or set data.skip_broken to leave them out",
            )
        mean, std = self.moments()
        return Source(
            train=parts["train"],
            test=parts["test"],
            num_classes=len(found.class_names),
            black=tuple(-shift / scale for shift, scale in zip(mean, std, strict=True)),
            validation=parts.get("validation"),
            class_names=found.class_names,
            units=found.units,
            preprocessing=self._preparation(found),
            warnings=tuple(self._warnings(found, broken)),
        )

    @contextmanager
    def survey(self, inputs: Path, task: str) -> Generator[Survey]:
        """Open the files for a walk that keeps no image in memory."""
        frame = self.frame()
        with self.collected_for(task, inputs) as found:
            yield Survey(
                kind="images",
                class_names=() if found.units else found.class_names,
                samples=self._walk(found),
                faults=found.faults,
                columns=[],
                warnings=found.warnings,
                image_size=(frame.height, frame.width),
            )

    def _walk(self, found: Collection) -> Iterator[Seen | Fault]:
        for part, samples in found.parts.items():
            for name, label in samples:
                image = self._decoded(found, name)
                if isinstance(image, Fault):
                    yield image
                    continue
                digest = hashlib.blake2b(image.values.tobytes(), digest_size=_DIGEST).digest()
                drawn = partial(thumbnail, image.values)
                yield Seen(part, name, label, digest, drawn, image.size)

    def _decoded(self, found: Collection, name: str) -> Decoded | Fault:
        content = found.content(name)  # where it cannot be read at all, the rest is not trusted
        try:
            return decoded(content, self.frame())
        except DataError as error:
            return Fault(name, str(error))

    def _part(
        self, found: Collection, samples: Sequence[tuple[str, Label]], broken: list[Fault]
    ) -> Samples:
        frame = self.frame()
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in self.moments())
        inputs = torch.empty(len(samples), frame.channels, frame.height, frame.width)
        labels: list[Label] = []
        for name, label in samples:
            image = self._decoded(found, name)
            if isinstance(image, Fault):
                broken.append(image)
                continue
            values: Tensor = torch.from_numpy(image.values.copy()).float() / 255
            inputs[len(labels)] = (values - mean) / std
            labels.append(label)
        kind = torch.float32 if found.units else torch.int64
        shape = (len(labels),) if found.one_class else (len(labels), len(found.class_names))
        return Samples(inputs[: len(labels)], torch.tensor(labels, dtype=kind).reshape(shape))

    def _check(self, found: Collection) -> None:
        if found.faults and not self.skip_broken:
            raise DataError(
                f"{found.shown}: {_told(found.faults, 'unusable sample')}",
                hint="repair or remove them, or set data.skip_broken to leave them out",
            )
        frame, images = self.frame(), sum(map(len, found.parts.values()))
        needed = 4 * images * frame.channels * frame.height * frame.width
        if needed > MAX_BYTES:
            raise DataError(
                f"{found.shown}: {images:,} images of {frame.channels} x {frame.height} x "
                f"{frame.width} take {needed / 2**30:,.1f} GiB of memory; expected at most "
                f"{MAX_BYTES / 2**30:,.1f}",
                hint="lower data.image_size, or bring fewer images",
            )

    def _preparation(self, found: Collection) -> dict[str, JsonValue]:
        frame, (mean, std) = self.frame(), self.moments()
        labels: dict[str, JsonValue] = {} if found.one_class else {"label": found.labels_told}
        return {
            "kind": "image",
            "channels": "grey" if frame.channels == 1 else "RGB",
            "height": frame.height,
            "width": frame.width,
            "fit": frame.fit,
            "resize": "bilinear, antialiased",
            "orientation": "as EXIF says",
            "transparent": "white",
            "divide_by": 255,
            "mean": list(mean),
            "std": list(std),
            **labels,
        }

    def _warnings(self, found: Collection, broken: list[Fault]) -> Iterator[Warned]:
        for faults, kind in ((broken, "broken image"), (found.faults, "unusable sample")):
            if faults:
                yield Warned(
                    code=f"{kind.replace(' ', '_')}s_left_out",
                    message=f"{found.shown}: {_told(faults, kind)}; left out",
                    hint="repair or remove them",
                )
        yield from found.warnings


def _told(faults: list[Fault], kind: str) -> str:
    return f"found {len(faults)} {kind}{'s' if len(faults) > 1 else ''}: {several(faults)}"
