"""What all tables have in common: which columns are learned from, and how rows become numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.dataset import Dataset, Samples, Source
from kdcore.errors import DataError
from kdcore.events import Warned
from kdcore.lazy import torch
from kdcore.reading.cells import as_label, as_number
from kdcore.reading.faults import Fault
from kdcore.reading.labelling import numbered
from kdcore.reading.labels import NO_LABEL
from kdcore.reading.splitting import stratified
from kdcore.reading.survey import Seen, Survey
from kdcore.reading.table_columns import (
    Categorical,
    Column,
    Missing,
    bad_cell,
    check_missing,
    check_numbers,
    fit_columns,
    is_numeric,
    told_column,
)
from kdcore.reading.table_files import Table, listed
from kdcore.reading.table_labels import (
    Labels,
    check_labels,
    fit_labels,
    has_labels,
    label_tensor,
    needs_labels,
)
from kdcore.reading.told_parts import check_columns

if TYPE_CHECKING:
    from torch import Tensor

MAX_BYTES: Final = 2**33
_DIGEST: Final = 16

ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]
Picked = dict[str, tuple[Table, list[int]]]


class TableSet(Dataset):
    """Rows of text and numbers; where they are, and of which part, is the entry's own."""

    label: ColumnName | None = None
    """The column that names the class, or holds the number of regression; where it is empty in a
    training row, or in all rows of another part, there is no label."""
    labels: Annotated[list[ColumnName], Field(min_length=1, max_length=1000)] | None = None
    """In the place of `label`, several columns: of multi_label each says whether a label is given
    (1 or 0, true or false, yes or no), of regression each holds a number."""
    features: Annotated[list[ColumnName], Field(min_length=1, max_length=10_000)] | None = None
    """The columns that are learned from; all others where it is not given."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class that is drawn for testing, where nothing else tells the parts."""
    split_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of this draw; the job's own seeds leave it as it is."""
    missing: Missing = "refuse"
    """What a missing value is (an empty cell, NA, NaN, null): refuse ends the job, mean takes the
    training part's mean, and no text at all in a column of texts."""

    tasks: ClassVar[frozenset[str] | None] = frozenset(
        {"classification", "embedding", "multi_label", "regression"}
    )

    @property
    def label_columns(self) -> list[str]:
        """The columns that are learned, whichever way they are named."""
        return [self.label] if self.label is not None else [*(self.labels or ())]

    @model_validator(mode="after")
    def _each_column_once(self) -> Self:
        if (self.label is None) == (self.labels is None):
            found = "label and labels both, or neither"
        elif taken := {*self.label_columns} & {*(self.features or ())}:
            found = f"the label {min(taken)!r} among features"
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

    def picked(self, inputs: Path, faults: list[Fault] | None, task: str) -> Picked:
        """Return table and rows of each part.

        Where `faults` are given, bad rows are left out and put there; else they are refused.

        Raises:
            DataError: a file, a column or a row is not as expected; rows are named by their lines.
        """
        raise NotImplementedError

    def aside(self) -> set[str]:
        """Return the columns that are no features, the labels among them."""
        return {*self.label_columns}

    def read(self, inputs: Path) -> Source:
        """Read the rows as those of classes."""
        return self.read_for("classification", inputs)

    def read_for(self, task: str, inputs: Path) -> Source:
        """Read the rows, fit the columns on the training part, and turn all into numbers.

        Raises:
            DataError: a file, a column or a row is not as expected; rows are named by their lines.
        """
        check_labels(task, self.labels)
        picked = self.picked(inputs, None, task)
        features = self._checked_features(picked)
        train, train_rows = picked["train"]
        if self.missing == "refuse":
            for table, rows in picked.values():
                check_missing(table, rows, features)
        columns = fit_columns(train, train_rows, features)
        self._check_memory(train.shown, sum(len(rows) for _, rows in picked.values()), columns)
        labels = self._labels(picked, task)
        parts: dict[str, Samples] = {}
        for part, (table, rows) in picked.items():
            needed = needs_labels(task, part, table, rows, self.label_columns)
            told = label_tensor(labels, table, rows, needed=needed)
            parts[part] = Samples(_inputs(table, rows, columns), told)
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

    @contextmanager
    def survey(self, inputs: Path, task: str) -> Generator[Survey]:
        """Read the rows for a walk; what cannot be used is named, and ends nothing."""
        check_labels(task, self.labels)
        faults: list[Fault] = []
        picked = self.picked(inputs, faults, task)
        features = self._checked_features(picked)
        numeric = {name: is_numeric(*picked["train"], name) for name in features}
        labels = self._labels(picked, task)
        yield Survey(
            kind="rows",
            class_names=labels.names if task in {"classification", "multi_label"} else (),
            samples=self._walk(picked, numeric, labels, task),
            faults=faults,
            columns=[
                told_column(
                    name,
                    (table.columns[name][row] for table, rows in picked.values() for row in rows),
                    numeric=number,
                )
                for name, number in numeric.items()
            ],
            warnings=(),
        )

    def _walk(
        self, picked: Picked, numeric: Mapping[str, bool], labels: Labels, task: str
    ) -> Iterator[Seen | Fault]:
        for part, (table, rows) in picked.items():
            needed = needs_labels(task, part, table, rows, self.label_columns)
            for row in rows:
                cells = {name: table.columns[name][row] for name in numeric}
                bad = (bad_cell(name, cells[name], numeric=numeric[name]) for name in cells)
                empty = (name for name in cells if cells[name] is None)
                label = labels.of(table, row, needed=needed)
                if reason := next(filter(None, bad), None):
                    yield Fault(table.place(row), reason)
                elif isinstance(label, str):
                    yield Fault(table.place(row), label)
                elif self.missing == "refuse" and (name := next(empty, None)):
                    yield Fault(table.place(row), f"has no value in {name!r}")
                else:
                    values = [
                        as_number(cell) if cell is None or numeric[name] else as_label(cell)
                        for name, cell in cells.items()
                    ]
                    content = json.dumps(values, ensure_ascii=True).encode()
                    digest = hashlib.blake2b(content, digest_size=_DIGEST).digest()
                    place = f"{table.unit} {table.lines[row]}"
                    yield Seen(part, place, label, digest)

    def _labels(self, picked: Picked, task: str) -> Labels:
        """Fit the labels on the training part, classes on the test part where that has none."""
        columns = self.label_columns
        check_columns(picked["train"][0], columns)
        unlabelled = not has_labels(*picked["train"], columns)
        telling = "test" if task == "classification" and unlabelled else "train"
        return fit_labels(task, *picked[telling], columns)

    def _checked_features(self, picked: Picked) -> list[str]:
        train, rows = picked["train"]
        features = self._features(train)
        for table, _ in picked.values():
            check_columns(table, [*sorted(self.aside()), *features])
        if not rows:
            raise DataError(f"{train.shown}: the training part has no rows")
        return features

    def _features(self, table: Table) -> list[str]:
        aside = self.aside()
        check_columns(table, [*sorted(aside), *(self.features or ())])
        found = self.features or [name for name in table.columns if name not in aside]
        if not found:
            raise DataError(
                f"{table.shown}: has no column beside {listed(self.label_columns)} to learn from"
            )
        if both := sorted(aside & set(found)):
            raise DataError(f"{table.shown}: {both[0]!r} tells the parts; it is no feature")
        return found

    def drawn(self, table: Table, task: str) -> Picked:
        """Return training and test rows, a share drawn for testing, of each class where it has one.

        What has no label is for training.
        """
        self._features(table)  # before a draw complains of classes
        (cells, *_) = columns = [table.columns[name] for name in self.label_columns]
        if task == "classification":
            number = numbered(as_label(cell) for cell in cells if cell is not None)
            labels = [NO_LABEL if cell is None else number[as_label(cell)] for cell in cells]
        else:
            labels = [NO_LABEL if None in row else 0 for row in zip(*columns, strict=True)]
        keys = [f"{table.unit} {line}" for line in table.lines]
        tested = stratified(keys, labels, self.test_share, self.split_seed)
        return {
            "train": (table, [row for row, test in enumerate(tested) if not test]),
            "test": (table, [row for row, test in enumerate(tested) if test]),
        }

    def _check_memory(self, shown: str, rows: int, columns: Sequence[Column]) -> None:
        width = sum(column.width for column in columns)
        if 4 * rows * width > MAX_BYTES:
            widest = max(columns, key=lambda column: column.width)
            raise DataError(
                f"{shown}: {rows:,} rows of {width:,} numbers take "
                f"{4 * rows * width / 2**30:,.1f} GiB of memory; expected at most "
                f"{MAX_BYTES / 2**30:,.1f}",
                hint=f"leave out columns with many texts, such as {widest.name!r}",
            )


def _inputs(table: Table, rows: list[int], columns: Sequence[Column]) -> Tensor:
    check_numbers(table, rows, columns)
    inputs = torch.zeros(len(rows), sum(column.width for column in columns))
    start = 0
    for column in columns:
        cells = table.columns[column.name]
        if rows:
            values = [column.numbers(cells[row]) for row in rows]
            inputs[:, start : start + column.width] = torch.tensor(values)
        start += column.width
    return inputs


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
