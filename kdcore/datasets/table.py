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

from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from kdcore.inputs import InputPath
from kdcore.reading.faults import Fault, refuse
from kdcore.reading.table_files import Table as Rows
from kdcore.reading.table_files import read_table
from kdcore.reading.table_set import ColumnName, Picked, TableSet
from kdcore.reading.told_parts import check_columns, not_a_part, part_of


class Table(TableSet):
    """Rows of a CSV, JSON lines or Parquet file."""

    name: Literal["table"] = "table"
    path: InputPath
    """The `.csv`, `.jsonl` or `.parquet` file, relative to the inputs folder."""
    test_path: InputPath | None = None
    """A file of its own for testing, with the same columns."""
    validation_path: InputPath | None = None
    """A file of its own for validation, beside one for testing."""
    split_column: ColumnName | None = None
    """A column that says `train`, `test` or `validation` in each row."""

    @model_validator(mode="after")
    def _one_way_to_split(self) -> Self:
        if self.split_column is not None and (self.test_path or self.validation_path):
            found = "split_column beside a file for testing or validation"
        elif self.validation_path and not self.test_path:
            found = "validation_path without test_path"
        elif self.split_column in self.label_columns:
            found = f"the label {self.split_column!r} as split_column"
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

    def aside(self) -> set[str]:
        """Return the columns of labels and part."""
        return super().aside() | ({self.split_column} if self.split_column else set())

    def picked(self, inputs: Path, faults: list[Fault] | None, task: str) -> Picked:
        """Return table and rows of each part."""
        table = read_table(inputs, self.path, faults)
        if self.test_path:
            files = {"test": self.test_path, "validation": self.validation_path}
            read = {part: read_table(inputs, path, faults) for part, path in files.items() if path}
            return {
                part: (rows, list(range(len(rows.lines))))
                for part, rows in ({"train": table} | read).items()
            }
        check_columns(table, sorted(self.aside()))
        if self.split_column is None:
            return self.drawn(table, task)
        bad: list[Fault] = []
        told = _told(table, self.split_column, bad)
        if faults is None:
            refuse(bad)
        else:
            faults += bad
        return told


def _told(table: Rows, column: str, bad: list[Fault]) -> Picked:
    """Return the rows of each part as a column tells them."""
    rows: dict[str, list[int]] = {"train": [], "test": []}
    for row in range(len(table.lines)):
        if part := part_of(table, row, column):
            rows.setdefault(part, []).append(row)
        else:
            bad.append(Fault(table.place(row), not_a_part(table, row, column)))
    return {part: (table, members) for part, members in rows.items()}
