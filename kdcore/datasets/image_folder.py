"""Images of your own: a folder, or a zip archive, with a folder for each class.

Formula
    x = (byte / 255 - mean) / std, channel by channel; `normalize: none` is mean 0 and std 1.
    Images are resized by Pillow's bilinear filter, whose support grows with the reduction
    (antialiased). Without `train/` and `test/`, round(test_share * n) of the n images of each
    class are for testing: those whose sha256 of "seed/name" comes first.
Shapes
    (channels, height, width), as `channels` and `image_size` say; classes are numbered in the
    order of their folders' names; images in `unlabelled/` have no label. At most 8 GiB as float32
Paper
    ImageNet's mean and std: He et al. Deep Residual Learning for Image Recognition.
    arXiv:1512.03385
Source
    pytorch/vision, torchvision/datasets/folder.py, has the same layout; mean and std stand in its
    torchvision/transforms/_presets.py. python-pillow/Pillow, src/libImaging/Resample.c, resizes
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Discriminator, Field, JsonValue, Tag, model_validator
from pydantic_core import PydanticCustomError

from kdcore.class_folders import ClassFolders, sort_out
from kdcore.dataset import Dataset, Samples, Source
from kdcore.entry import Record
from kdcore.errors import DataError
from kdcore.events import Warned
from kdcore.images import Fit, Frame, decoded
from kdcore.inputs import InputPath
from kdcore.lazy import torch
from kdcore.trees import Tree, open_tree

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES = 2**33
_MAX_SIDE = 4096
_SHOWN = 10
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

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


class ImageFolder(Dataset):
    """A folder or a zip archive of images, one folder a class."""

    name: Literal["image_folder"] = "image_folder"
    path: InputPath
    """The folder or the `.zip` file, relative to the inputs folder: folders of classes, or `train/`
    and `test/` with these inside, and `val/` if you like."""
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
        Annotated[Literal["none", "imagenet"], Tag("known")] | Annotated[Moments, Tag("own")],
        Discriminator(_moments_form),
    ] = "none"
    """none leaves pixels in [0, 1]; imagenet takes ImageNet's mean and std; or `mean` and `std`."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class that is drawn for testing, where there is no `test/`."""
    split_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of this draw; the job's own seeds leave it as it is."""
    skip_broken: bool = False
    """Leave images out that cannot be read, and warn of them; otherwise they end the job."""

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

    def frame(self) -> Frame:
        """Return what every image is brought to."""
        size = self.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return Frame(self.channels, height, width, self.fit)

    def moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and std of each channel."""
        if isinstance(self.normalize, Moments):
            return tuple(self.normalize.mean), tuple(self.normalize.std)
        if self.normalize == "imagenet":
            return _IMAGENET
        return (0.0,) * self.channels, (1.0,) * self.channels

    def may_validate(self) -> bool:
        """Return True: there may be a folder `val/`."""
        return True

    @contextmanager
    def opened(self, inputs: Path) -> Generator[tuple[Tree, ClassFolders]]:
        """Open the files, sorted into parts and classes."""
        with open_tree(inputs, self.path) as tree:
            yield (
                tree,
                sort_out(tree.sizes, self.path, share=self.test_share, seed=self.split_seed),
            )

    def read(self, inputs: Path) -> Source:
        """Decode every image.

        Raises:
            DataError: the folders are not as expected, images are broken, or they need too much
                memory.
        """
        with self.opened(inputs) as (tree, folders):
            if not folders.class_names:
                raise DataError(
                    f"{self.path}: all training images are unlabelled; expected folders of classes"
                )
            self._check_memory(sum(map(len, folders.parts.values())))
            broken = _Broken()
            parts = {part: self._part(tree, files, broken) for part, files in folders.parts.items()}
        if broken.told and not self.skip_broken:
            raise DataError(
                f"{self.path}: {broken}",
                hint="repair or remove them, or set data.skip_broken to leave them out",
            )
        mean, std = self.moments()
        return Source(
            train=parts["train"],
            test=parts["test"],
            num_classes=len(folders.class_names),
            black=tuple(-shift / scale for shift, scale in zip(mean, std, strict=True)),
            validation=parts.get("validation"),
            class_names=folders.class_names,
            preprocessing=self._preparation(),
            warnings=tuple(self._warnings(folders, broken)),
        )

    def _part(self, tree: Tree, files: list[tuple[str, int]], broken: _Broken) -> Samples:
        frame = self.frame()
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in self.moments())
        inputs = torch.empty(len(files), frame.channels, frame.height, frame.width)
        labels: list[int] = []
        for name, label in files:
            content = tree.read(name)  # where it cannot be read at all, the rest is not trusted
            try:
                values = decoded(content, frame)
            except DataError as error:
                broken.told.append(f"{name!r} {error}")
                continue
            image: Tensor = torch.from_numpy(values.copy()).float() / 255
            inputs[len(labels)] = (image - mean) / std
            labels.append(label)
        return Samples(inputs[: len(labels)], torch.tensor(labels, dtype=torch.int64))

    def _check_memory(self, images: int) -> None:
        frame = self.frame()
        needed = 4 * images * frame.channels * frame.height * frame.width
        if needed > MAX_BYTES:
            raise DataError(
                f"{self.path}: {images:,} images of {frame.channels} x {frame.height} x "
                f"{frame.width} take {needed / 2**30:,.1f} GiB of memory; expected at most "
                f"{MAX_BYTES / 2**30:,.1f}",
                hint="lower data.image_size, or bring fewer images",
            )

    def _preparation(self) -> dict[str, JsonValue]:
        frame, (mean, std) = self.frame(), self.moments()
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
        }

    def _warnings(self, folders: ClassFolders, broken: _Broken) -> Iterator[Warned]:
        if broken.told:
            yield Warned(
                code="broken_images_left_out",
                message=f"{self.path}: {broken}; left out",
                hint="repair or remove them",
            )
        if folders.ignored:
            yield Warned(
                code="files_beside_classes",
                message=f"{self.path}: found {_listed(folders.ignored)} beside the folders of "
                "classes; left out",
                hint="move them into the folder of a class if they are samples",
            )


@dataclass(slots=True)
class _Broken:
    """Images that could not be decoded, with the reasons."""

    told: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        images = "image" if len(self.told) == 1 else "images"
        return f"found {len(self.told)} broken {images}: {_listed(self.told)}"


def _listed(names: list[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return "; ".join(names[:_SHOWN]) + more
