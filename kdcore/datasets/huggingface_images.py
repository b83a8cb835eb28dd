"""Images that Hugging Face's `datasets` saved to disk, with their classes.

Formula
    x = (byte / 255 - mean) / std, channel by channel; `normalize: none` is mean 0 and std 1.
    Images are resized by Pillow's bilinear filter, whose support grows with the reduction
    (antialiased). Without a split for testing, round(test_share * n) of the n images of each class
    are for testing: those whose sha256 of "seed/row" comes first.
Shapes
    (channels, height, width), as `channels` and `image_size` say; classes are numbered as
    `ClassLabel` says, or else in the order of their names; -1 is no label. At most 8 GiB as float32
Paper
    Lhoest et al. Datasets: A Community Library for Natural Language Processing. arXiv:2109.02846
Source
    huggingface/datasets, src/datasets/arrow_dataset.py (save_to_disk) and features/image.py: an
    image is a struct of bytes and path
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from kdcore.errors import DataError
from kdcore.reading.arrow_folders import Saved
from kdcore.reading.cells import as_label
from kdcore.reading.collection import Collection, drawn
from kdcore.reading.faults import Fault
from kdcore.reading.image_set import ImageSet
from kdcore.reading.labelling import Named, labelled
from kdcore.reading.saved_parts import SavedParts

ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]


class HuggingfaceImages(ImageSet, SavedParts):
    """Images in a folder written by `save_to_disk`."""

    name: Literal["huggingface_images"] = "huggingface_images"
    extra: ClassVar[str | None] = "data"
    image: ColumnName = "image"
    """The column of images."""
    label: ColumnName = "label"
    """The column that names the class."""

    @contextmanager
    def collected(self, inputs: Path) -> Generator[Collection]:
        """Open the rows of all parts; images stay in their files."""
        with ExitStack() as held:
            saved, warnings = self.opened(inputs, held)
            places: dict[str, tuple[Saved, int]] = {}
            faults: list[Fault] = []
            named: list[Named] = []
            for part, one in saved.items():
                one.check([self.image, self.label])
                _check_kind(one, self.image)
                for row, told in enumerate(one.column(self.label)):
                    name = f"{one.shown}, row {row + 1}"
                    if told is not None and not isinstance(told, str | int | float):
                        faults.append(Fault(name, f"has {type(told).__name__} for a class"))
                    elif reason := _what_is_wrong(one.cell(self.image, row)):
                        faults.append(Fault(name, reason))
                    else:
                        places[name] = one, row
                        label = None if told is None else as_label(told)
                        named.append(Named(name, label, part, name))
            classes, parts = labelled(named, faults, saved["train"].names_of(self.label))
            if "test" not in saved:
                keys = [f"row {places[name][1] + 1}" for name, _ in parts["train"]]
                parts |= drawn(parts["train"], keys, self.test_share, self.split_seed)

            def content(name: str) -> bytes:
                one, row = places[name]
                return bytes(_bytes_of(one.cell(self.image, row)).as_buffer())

            yield Collection(
                shown=self.path,
                class_names=classes,
                parts=parts,
                content=content,
                faults=faults,
                warnings=tuple(warnings),
            )


def _check_kind(saved: Saved, column: str) -> None:
    """Refuse a column that holds no image files."""
    kind = str(saved.batches[0].schema.field(column).type)
    if kind.startswith("struct<") and "bytes: " in kind:
        return
    if kind not in {"binary", "large_binary"}:
        raise DataError(
            f"{saved.shown}: {column!r} holds {kind}; expected images",
            hint="name the column of images in data.image, or cast it to datasets.Image",
        )


def _what_is_wrong(cell: Any) -> str | None:
    """Return what is wrong with an image's cell before its bytes are looked at."""
    if not cell.is_valid:
        return "has no image"
    if not _bytes_of(cell).is_valid:
        path = cell["path"].as_py() if "path" in cell else None
        return f"names the file {path!r}, and holds no image"
    return None


def _bytes_of(cell: Any) -> Any:
    return cell["bytes"] if hasattr(cell, "keys") else cell
