"""Images of your own, and a table that names the class of each.

Formula
    x = (byte / 255 - mean) / std, channel by channel; `normalize: none` is mean 0 and std 1.
    Images are resized by Pillow's bilinear filter, whose support grows with the reduction
    (antialiased). Without `split_column`, round(test_share * n) of the n images of each class are
    for testing: those whose sha256 of "seed/file" comes first.
Shapes
    (channels, height, width), as `channels` and `image_size` say; classes are numbered in the
    order of their names, numbers by size; a training row without a class has no label. At most
    8 GiB as float32
Paper
    ImageNet's mean and std: He et al. Deep Residual Learning for Image Recognition.
    arXiv:1512.03385
Source
    huggingface/datasets, docs/source/image_dataset.mdx, has the same layout with a metadata.csv;
    mean and std stand in pytorch/vision, torchvision/transforms/_presets.py
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.events import Warned
from kdcore.inputs import InputPath
from kdcore.reading.cells import as_label
from kdcore.reading.collection import Collection, drawn, several
from kdcore.reading.faults import Fault
from kdcore.reading.image_set import ImageSet
from kdcore.reading.labelling import Named, labelled
from kdcore.reading.table_files import Table, read_table
from kdcore.reading.told_parts import check_columns, not_a_part, part_of
from kdcore.reading.trees import open_tree

ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]


class ImageTable(ImageSet):
    """A folder or a zip archive of images, and a table that names file and class of each."""

    name: Literal["image_table"] = "image_table"
    path: InputPath
    """The folder or the `.zip` file of the images, relative to the inputs folder."""
    table: InputPath
    """The `.csv`, `.jsonl` or `.parquet` file that names them, relative to the inputs folder."""
    file: ColumnName = "file"
    """The column with the name of the image in the folder or archive: `cats/001.png`."""
    label: ColumnName = "label"
    """The column that names the class; where it is empty in a training row, there is no label."""
    split_column: ColumnName | None = None
    """A column that says `train`, `test` or `validation` in each row; where it is not given,
    `test_share` is drawn."""

    @model_validator(mode="after")
    def _each_column_is_one_thing(self) -> Self:
        columns = [self.file, self.label, self.split_column]
        if len(set(columns)) < len(columns):
            raise PydanticCustomError(
                "table_columns",
                "found one column for two of file, label and split_column; expected three",
            )
        return self

    def may_validate(self) -> bool:
        """Return whether rows may be told to be for validation."""
        return self.validation_size > 0 or self.split_column is not None

    @contextmanager
    def collected(self, inputs: Path) -> Generator[Collection]:
        """Open the images, and sort the rows of the table into parts and classes."""
        table = read_table(inputs, self.table)
        split = [self.split_column] if self.split_column else []
        check_columns(table, [self.file, self.label, *split])
        with open_tree(inputs, self.path) as tree:
            names = _Names(tree.sizes)
            rows, faults = self._rows(table, names)
            classes, parts = labelled(rows, faults)
            if self.split_column is None:
                keys = [file.removeprefix(names.around) for file, _ in parts["train"]]
                parts = drawn(parts["train"], keys, self.test_share, self.split_seed)
            unused = names.unused({self.table.removeprefix(f"{self.path}/")})
            beside = Warned(
                code="files_not_in_table",
                message=f"{self.path}: found {len(unused)} files that {self.table} does not name: "
                f"{several(map(repr, unused))}; left out",
                hint="name them in the table, without a class where they have none",
            )
            yield Collection(
                shown=self.path,
                class_names=classes,
                parts=parts,
                content=tree.read,
                faults=faults,
                warnings=(beside,) if unused else (),
            )

    def _rows(self, table: Table, names: _Names) -> tuple[list[Named], list[Fault]]:
        """Return the rows that name an image which is there, and what is wrong with the others."""
        rows: list[Named] = []
        faults: list[Fault] = []
        told: dict[str, list[Named]] = {}
        cells = [None if cell is None else as_label(cell) for cell in table.columns[self.file]]
        names.look_at([file for file in cells if file is not None])
        for row, file in enumerate(cells):
            label = table.columns[self.label][row]
            part = part_of(table, row, self.split_column) if self.split_column else "train"
            found = None if file is None else names.find(file)
            if file is None:
                faults.append(Fault(table.place(row), f"names no file in {self.file!r}"))
            elif found is None:
                reason = f"names {file!r}, which is not in {self.path}"
                faults.append(Fault(table.place(row), reason))
            elif part is None:
                reason = not_a_part(table, row, str(self.split_column))
                faults.append(Fault(table.place(row), reason))
            else:
                known = None if label is None else as_label(label)
                told.setdefault(found, []).append(Named(found, known, part, table.place(row)))
        for first, *others in told.values():
            if all((one.label, one.part) == (first.label, first.part) for one in others):
                rows.append(first)
                faults += [_again(one, f"as {first.place} does") for one in others]
            else:  # nobody can tell which of them is meant
                how = f"as {len(others)} more, with another class or part"
                faults += [_again(one, how) for one in (first, *others)]
        return rows, faults


def _again(row: Named, how: str) -> Fault:
    return Fault(row.place, f"names {row.name!r} {how}; expected one row for each file")


class _Names:
    """The files that there are, and those that a table names."""

    def __init__(self, files: Iterable[str]) -> None:
        self._files = set(files)
        self._used: set[str] = set()
        self.around = ""
        """The folder around everything, where the table leaves it out."""

    def look_at(self, named: Sequence[str]) -> None:
        """Find out whether the table leaves out a folder around everything."""
        tops = {name.partition("/")[0] for name in self._files}
        if len(tops) == 1 and not any(name in self._files for name in named):
            self.around = f"{tops.pop()}/"

    def find(self, named: str) -> str | None:
        """Return the file that a table means."""
        name = f"{self.around}{named.removeprefix('./')}"
        if name not in self._files:
            return None
        self._used.add(name)
        return name

    def unused(self, but: set[str]) -> list[str]:
        """Return the files that were not named."""
        return sorted(self._files - self._used - but)
