"""Images of your own, and a table with a class, several labels or numbers for each.

Formula
    x = (byte / 255 - mean) / std, channel by channel; `normalize: none` is mean 0 and std 1.
    Images are resized by Pillow's bilinear filter, whose support grows with the reduction
    (antialiased). Without `split_column`, round(test_share * n) of the n images of each class are
    for testing: those whose sha256 of "seed/file" comes first.
    Of multi_label, a label is 1 where its column says 1, true or yes. Of regression, a target is
    y = (value - mean) / std, both over the training part, std dividing by N.
Shapes
    (channels, height, width), as `channels` and `image_size` say; classes are numbered in the
    order of their names, numbers by size; several labels (N, C), numbers (N, T); a training row
    without any has no label. At most 8 GiB as float32
Paper
    ImageNet's mean and std: He et al. Deep Residual Learning for Image Recognition.
    arXiv:1512.03385
Source
    huggingface/datasets, docs/source/image_dataset.mdx, has the same layout with a metadata.csv;
    mean and std stand in pytorch/vision, torchvision/transforms/_presets.py
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from kdcore.events import Warned
from kdcore.inputs import InputPath
from kdcore.reading.cells import as_label
from kdcore.reading.collection import Collection, drawn, several
from kdcore.reading.faults import Fault
from kdcore.reading.image_set import ImageSet
from kdcore.reading.labelling import Named, labelled
from kdcore.reading.labels import NO_LABEL, Label
from kdcore.reading.table_files import Table, read_table
from kdcore.reading.table_labels import check_labels, fit_labels, needs_labels
from kdcore.reading.told_parts import check_columns, not_a_part, part_of
from kdcore.reading.trees import open_tree

ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]


class ImageTable(ImageSet):
    """A folder or a zip archive of images, and a table that names each and tells its labels."""

    name: Literal["image_table"] = "image_table"
    path: InputPath
    """The folder or the `.zip` file of the images, relative to the inputs folder."""
    table: InputPath
    """The `.csv`, `.jsonl` or `.parquet` file that names them, relative to the inputs folder."""
    file: ColumnName = "file"
    """The column with the name of the image in the folder or archive: `cats/001.png`."""
    label: ColumnName = "label"
    """The column that names the class, or holds the number of regression; where it is empty in a
    training row, there is no label."""
    labels: Annotated[list[ColumnName], Field(min_length=1, max_length=1000)] | None = None
    """In the place of `label`, which is not read then, several columns: of multi_label each says
    whether a label is given (1 or 0, true or false, yes or no), of regression each holds a
    number."""
    split_column: ColumnName | None = None
    """A column that says `train`, `test` or `validation` in each row; where it is not given,
    `test_share` is drawn."""

    tasks: ClassVar[frozenset[str] | None] = frozenset(
        {"classification", "embedding", "multi_label", "regression"}
    )

    @property
    def label_columns(self) -> list[str]:
        """The columns that are learned, whichever way they are named."""
        return self.labels or [self.label]

    @model_validator(mode="after")
    def _each_column_is_one_thing(self) -> Self:
        columns = [self.file, *self.label_columns, self.split_column]
        if len(set(columns)) < len(columns):
            raise PydanticCustomError(
                "table_columns",
                "found one column for two of file, {labels} and split_column; expected one for "
                "each",
                {"labels": "labels" if self.labels else "label"},
            )
        return self

    def may_validate(self) -> bool:
        """Return whether rows may be told to be for validation."""
        return self.validation_size > 0 or self.split_column is not None

    @contextmanager
    def collected_for(self, task: str, inputs: Path) -> Generator[Collection]:
        """Open the images, and sort the rows of the table into parts, with their labels."""
        check_labels(task, self.labels)
        table = read_table(inputs, self.table)
        split = [self.split_column] if self.split_column else []
        check_columns(table, [self.file, *self.label_columns, *split])
        with open_tree(inputs, self.path) as tree:
            names = _Names(tree.sizes)
            rows, faults = self._rows(table, names)
            one_class = task not in {"multi_label", "regression"}
            if one_class:
                found = self._with_classes(table, rows, names.around, faults)
            else:
                found = self._with_targets(task, table, rows, names.around, faults)
            unused = names.unused({self.table.removeprefix(f"{self.path}/")})
            beside = Warned(
                code="files_not_in_table",
                message=f"{self.path}: found {len(unused)} files that {self.table} does not name: "
                f"{several(map(repr, unused))}; left out",
                hint="name them in the table, without a class where they have none",
            )
            yield Collection(
                shown=self.path,
                class_names=found.names,
                parts=found.parts,
                content=tree.read,
                faults=faults,
                warnings=(beside,) if unused else (),
                one_class=one_class,
                units=found.units,
                labels_told=found.told,
            )

    def _with_classes(
        self, table: Table, rows: list[_Row], around: str, faults: list[Fault]
    ) -> _Labelled:
        """Return the images of each part, each with its class."""
        cells = table.columns[self.label]
        named = [
            Named(
                one.file,
                None if (cell := cells[one.row]) is None else as_label(cell),
                one.part,
                table.place(one.row),
            )
            for one in rows
        ]
        classes, parts = labelled(named, faults)
        if self.split_column is None:
            parts = self._drawn(parts["train"], around)
        return _Labelled(classes, parts)

    def _with_targets(
        self, task: str, table: Table, rows: list[_Row], around: str, faults: list[Fault]
    ) -> _Labelled:
        """Return the images of each part, each with several labels or numbers."""
        columns = self.label_columns
        places: dict[str, list[int]] = {"train": [], "test": []}
        for one in rows:
            places.setdefault(one.part, []).append(one.row)
        files = {one.row: one.file for one in rows}
        if self.split_column is None:
            row_of = {one.file: one.row for one in rows}
            empty = {
                row for row in files if any(table.columns[name][row] is None for name in columns)
            }
            marks = [(one.file, NO_LABEL if one.row in empty else 0) for one in rows]
            told = self._drawn(marks, around)
            places = {part: [row_of[file] for file, _ in found] for part, found in told.items()}
        labels = fit_labels(task, table, places["train"], columns)
        parts: dict[str, list[tuple[str, Label]]] = {}
        for part, members in places.items():
            needed = needs_labels(task, part, table, members, columns)
            parts[part] = []
            for row in members:
                label = labels.of(table, row, needed=needed)
                if isinstance(label, str):
                    faults.append(Fault(table.place(row), label))
                else:
                    parts[part].append((files[row], label))
        return _Labelled(labels.names, parts, labels.units, labels.told())

    def _drawn(
        self, samples: list[tuple[str, int]], around: str
    ) -> dict[str, list[tuple[str, int]]]:
        keys = [file.removeprefix(around) for file, _ in samples]
        return drawn(samples, keys, self.test_share, self.split_seed)

    def _rows(self, table: Table, names: _Names) -> tuple[list[_Row], list[Fault]]:
        """Return the rows that name an image which is there, and what is wrong with the others."""
        rows: list[_Row] = []
        faults: list[Fault] = []
        told: dict[str, list[_Row]] = {}
        cells = [None if cell is None else as_label(cell) for cell in table.columns[self.file]]
        names.look_at([file for file in cells if file is not None])
        for row, file in enumerate(cells):
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
                told.setdefault(found, []).append(_Row(found, row, part))
        for first, *others in told.values():
            if all(self._says(table, one) == self._says(table, first) for one in others):
                rows.append(first)
                how = f"as {table.place(first.row)} does"
                faults += [_again(table, one, how) for one in others]
            else:  # nobody can tell which of them is meant
                what = "other labels" if self.labels else "another class"
                how = f"as {len(others)} more, with {what} or part"
                faults += [_again(table, one, how) for one in (first, *others)]
        return rows, faults

    def _says(self, table: Table, one: _Row) -> tuple[str | None, ...]:
        """Return what a row says of its file."""
        cells = (table.columns[name][one.row] for name in self.label_columns)
        return one.part, *(None if cell is None else as_label(cell) for cell in cells)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that names an image."""

    file: str
    row: int
    part: str


@dataclass(frozen=True, slots=True)
class _Labelled:
    """The images of each part with their labels, and what is told of these."""

    names: tuple[str, ...]
    parts: Mapping[str, Sequence[tuple[str, Label]]]
    units: tuple[float, ...] = ()
    told: JsonValue = None


def _again(table: Table, one: _Row, how: str) -> Fault:
    return Fault(table.place(one.row), f"names {one.file!r} {how}; expected one row for each file")


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
