"""A table of your own: rows with a class, several labels or numbers, from CSV, JSONL or Parquet.

Formula
    A column of numbers: x = (value - mean) / std, both over the training part, std dividing by N;
    a column of texts: 1 at the place of the text among those of the training part, sorted, else 0.
    A column is of numbers where most of its training values are; others are then refused.
    Of multi_label, a label is 1 where its column says 1, true or yes. Of regression, a target is
    counted like a column of numbers, y = (value - mean) / std.
    Without a column or a file that tells the parts, round(test_share * n) of the n rows of each
    class are for testing: those whose sha256 of "seed/line" comes first.
Shapes
    (D), D being the number of numeric columns and of all different texts; classes are numbered in
    the order of their names, numbers by size; several labels (N, C), numbers (N, T). At most
    50,000,000 values, and 8 GiB as float32
Paper
    Fisher. The use of multiple measurements in taxonomic problems. Annals of Eugenics 7, 1936.
    doi:10.1111/j.1469-1809.1936.tb02137.x
Source
    scikit-learn, sklearn/preprocessing/_data.py (StandardScaler) and _encoders.py (OneHotEncoder,
    handle_unknown="ignore") compute the same
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.dataset import Dataset, Samples, Source
from kdcore.errors import DataError
from kdcore.events import Warned
from kdcore.inputs import InputPath
from kdcore.lazy import torch
from kdcore.splitting import stratified
from kdcore.table_columns import (
    Categorical,
    Column,
    Missing,
    check_missing,
    check_numbers,
    fit_columns,
)
from kdcore.table_files import Table as Rows
from kdcore.table_files import as_label, listed, read_table
from kdcore.table_labels import Labels, fit_labels

MAX_BYTES: Final = 2**33
_PARTS: Final = {
    "train": "train",
    "training": "train",
    "test": "test",
    "val": "validation",
    "validation": "validation",
}
_SHOWN: Final = 5
_NO_LABEL: Final = -1

ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]
Picked = dict[str, tuple[Rows, list[int]]]


class Table(Dataset):
    """Rows of a CSV, JSON lines or Parquet file."""

    name: Literal["table"] = "table"
    path: InputPath
    """The `.csv`, `.jsonl` or `.parquet` file, relative to the inputs folder."""
    label: ColumnName | None = None
    """The column that names the class, or holds the number of regression; where it is empty in a
    training row, there is no label."""
    labels: Annotated[list[ColumnName], Field(min_length=1, max_length=1000)] | None = None
    """In the place of `label`, several columns: of multi_label each says whether a label is given
    (1 or 0, true or false, yes or no), of regression each holds a number."""
    features: Annotated[list[ColumnName], Field(min_length=1, max_length=10_000)] | None = None
    """The columns that are learned from; all others where it is not given."""
    test_path: InputPath | None = None
    """A file of its own for testing, with the same columns."""
    validation_path: InputPath | None = None
    """A file of its own for validation, beside one for testing."""
    split_column: ColumnName | None = None
    """A column that says `train`, `test` or `validation` in each row."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class that is drawn for testing, where nothing else tells the parts."""
    split_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of this draw; the job's own seeds leave it as it is."""
    missing: Missing = "refuse"
    """What a missing value is (an empty cell, NA, NaN, null): refuse ends the job, mean takes the
    training part's mean, and no text at all in a column of texts."""

    tasks: ClassVar[frozenset[str] | None] = frozenset(
        {"classification", "multi_label", "regression"}
    )

    @property
    def label_columns(self) -> list[str]:
        """The columns that are learned, whichever way they are named."""
        return [self.label] if self.label is not None else [*(self.labels or ())]

    @model_validator(mode="after")
    def _one_way_to_split(self) -> Self:
        if self.split_column is not None and (self.test_path or self.validation_path):
            found = "split_column beside a file for testing or validation"
        elif self.validation_path and not self.test_path:
            found = "validation_path without test_path"
        elif (self.label is None) == (self.labels is None):
            found = "label and labels both, or neither"
        elif taken := {*self.label_columns} & {*(self.features or ()), self.split_column}:
            found = f"the label {min(map(str, taken))!r} among features, or as split_column"
        elif len({*self.label_columns}) < len(self.label_columns):
            found = "a label more than once"
        elif self.features and len(set(self.features)) < len(self.features):
            found = "a feature more than once"
        else:
            return self
        raise PydanticCustomError(
            "table_columns",
            "found {found}; expected the parts to be told in one way, and each column to be one "
            "thing",
            {"found": found},
        )

    def may_validate(self) -> bool:
        """Return whether rows may be told to be for validation."""
        return super().may_validate() or bool(self.validation_path or self.split_column)

    def read(self, inputs: Path) -> Source:
        """Read the rows as those of classes."""
        return self.read_for("classification", inputs)

    def read_for(self, task: str, inputs: Path) -> Source:
        """Read the rows, fit the columns on the training part, and turn all into numbers.

        Raises:
            DataError: a file, a column or a row is not as expected; rows are named by their lines.
        """
        if self.labels is not None and task == "classification":
            raise DataError(
                f"found data.labels {listed(self.labels)} in a task of classification, which has "
                "one class a row; expected data.label",
                hint="name one column as data.label, or set task to multi_label or regression",
            )
        table = read_table(inputs, self.path)
        features = self._features(table)
        picked = self._picked(inputs, table, task)
        for other, rows in picked.values():
            self._check_columns(other, features)
            if self.missing == "refuse":
                check_missing(other, rows, features)
        train, train_rows = picked["train"]
        if not train_rows:
            raise DataError(f"{train.shown}: the training part has no rows")
        columns = fit_columns(train, train_rows, features)
        self._check_memory(sum(len(rows) for _, rows in picked.values()), columns)
        labels = fit_labels(task, train, train_rows, self.label_columns)
        parts = {part: _samples(*picked[part], columns, labels, part) for part in picked}
        return Source(
            train=parts["train"],
            test=parts["test"],
            num_classes=len(labels.names),
            validation=parts.get("validation"),
            class_names=labels.names,
            units=labels.units,
            preprocessing={
                "kind": "table",
                "label": labels.told(),
                "missing": self.missing,
                "columns": [column.told() for column in columns],
            },
            warnings=tuple(_unseen(picked, columns)),
        )

    def _features(self, table: Rows) -> list[str]:
        self._check_columns(table, self.features or ())
        aside = {*self.label_columns, self.split_column}
        found = self.features or [name for name in table.columns if name not in aside]
        if not found:
            raise DataError(
                f"{table.shown}: has no column beside {listed(self.label_columns)} to learn from"
            )
        if self.split_column in found:
            raise DataError(
                f"{table.shown}: {self.split_column!r} tells the parts; it is no feature"
            )
        return found

    def _check_columns(self, table: Rows, features: Sequence[str]) -> None:
        wanted = [
            *self.label_columns,
            *features,
            *([self.split_column] if self.split_column else []),
        ]
        if absent := [name for name in wanted if name not in table.columns]:
            raise DataError(
                f"{table.shown}: no column {listed(absent)}; found {listed(list(table.columns))}",
                hint="name the columns as the first line does; capitals count",
            )

    def _picked(self, inputs: Path, table: Rows, task: str) -> Picked:
        """Return table and rows of each part."""
        everything = list(range(len(table.lines)))
        if self.test_path:
            files = {"test": self.test_path, "validation": self.validation_path}
            read = {part: read_table(inputs, path) for part, path in files.items() if path}
            others = {part: (rows, list(range(len(rows.lines)))) for part, rows in read.items()}
            return {"train": (table, everything), **others}
        if self.split_column:
            return self._told(table)
        labels = _strata(table, self.label_columns, spread=task == "classification")
        keys = [f"{table.unit} {line}" for line in table.lines]
        tested = stratified(keys, labels, self.test_share, self.split_seed)
        train = [row for row in everything if not tested[row]]
        return {
            "train": (table, train),
            "test": (table, [row for row in everything if tested[row]]),
        }

    def _told(self, table: Rows) -> Picked:
        rows: dict[str, list[int]] = {"train": [], "test": []}
        for row, cell in enumerate(table.columns[str(self.split_column)]):
            part = _PARTS.get(str(cell).lower())
            if part is None:
                raise DataError(
                    f"{table.place(row)}: {self.split_column!r} holds {str(cell)[:60]!r}; expected "
                    "train, test or validation"
                )
            rows.setdefault(part, []).append(row)
        return {part: (table, members) for part, members in rows.items()}

    def _check_memory(self, rows: int, columns: Sequence[Column]) -> None:
        width = sum(column.width for column in columns)
        if 4 * rows * width > MAX_BYTES:
            widest = max(columns, key=lambda column: column.width)
            raise DataError(
                f"{self.path}: {rows:,} rows of {width:,} numbers take "
                f"{4 * rows * width / 2**30:,.1f} GiB of memory; expected at most "
                f"{MAX_BYTES / 2**30:,.1f}",
                hint=f"leave out columns with many texts, such as {widest.name!r}",
            )


def _strata(table: Rows, columns: Sequence[str], *, spread: bool) -> list[int]:
    """Return what each row is drawn for testing with: its class, or one for all; -1 without."""
    (cells, *_) = rows = [table.columns[name] for name in columns]
    if not spread:
        return [
            _NO_LABEL if any(cell is None for cell in row) else 0 for row in zip(*rows, strict=True)
        ]
    names = sorted({as_label(cell) for cell in cells if cell is not None})
    number = {name: place for place, name in enumerate(names)}
    return [_NO_LABEL if cell is None else number[as_label(cell)] for cell in cells]


def _samples(
    table: Rows, rows: list[int], columns: Sequence[Column], labels: Labels, part: str
) -> Samples:
    check_numbers(table, rows, columns)
    inputs = torch.zeros(len(rows), sum(column.width for column in columns))
    start = 0
    for column in columns:
        cells = table.columns[column.name]
        if rows:
            values = [column.numbers(cells[row]) for row in rows]
            inputs[:, start : start + column.width] = torch.tensor(values)
        start += column.width
    return Samples(inputs, labels.numbers(table, rows, part))


def _unseen(picked: Picked, columns: Sequence[Column]) -> Iterator[Warned]:
    """Warn of texts that are met outside of the training part alone."""
    for part, (table, rows) in picked.items():
        for column in columns:
            if part == "train" or not isinstance(column, Categorical):
                continue
            cells = table.columns[column.name]
            texts = {as_label(cell) for row in rows if (cell := cells[row]) is not None}
            if new := sorted(texts - set(column.values)):
                yield Warned(
                    code="texts_not_in_training",
                    message=f"{table.shown}: {column.name!r} holds {listed(new)} in the {part} "
                    "part alone; to the network these are no text at all",
                    hint="split so that every text is in the training part",
                )
