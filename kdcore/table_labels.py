"""How the cells of a table become labels: fitted on the training part, as each task wants them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pydantic import JsonValue

from kdcore.errors import DataError
from kdcore.lazy import torch
from kdcore.table_columns import Numeric, check_numbers, fit_columns
from kdcore.table_files import Cell, Table, as_label, as_number, listed
from kdcore.tensors import HIDDEN

if TYPE_CHECKING:
    from torch import Tensor

_GIVEN: Final = {"1": 1, "true": 1, "yes": 1, "0": 0, "false": 0, "no": 0}


class Labels(Protocol):
    """What rows are labelled with."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs."""
        ...

    @property
    def units(self) -> tuple[float, ...]:
        """How much of what the user counts in is 1 in each output, where these are numbers."""
        ...

    def told(self) -> JsonValue:
        """Return what is delivered."""
        ...

    def numbers(self, table: Table, rows: Sequence[int], part: str) -> Tensor:
        """Return the labels of `rows`.

        Raises:
            DataError: a row has none that is known; it is named by its line.
        """
        ...


def fit_labels(task: str, table: Table, rows: Sequence[int], columns: Sequence[str]) -> Labels:
    """Fit the label columns on the training `rows`.

    Raises:
        DataError: the columns are none for the task.
    """
    if task == "multi_label":
        return _Given(tuple(columns))
    if task == "regression":
        return _fit_numbers(table, rows, columns)
    (column,) = columns
    return _fit_classes(table, rows, column)


@dataclass(frozen=True, slots=True)
class _Classes:
    """One of several classes."""

    column: str
    places: dict[str, int]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.places)

    @property
    def units(self) -> tuple[float, ...]:
        return ()

    def told(self) -> JsonValue:
        return self.column

    def numbers(self, table: Table, rows: Sequence[int], part: str) -> Tensor:
        labels: list[int] = []
        for row in rows:
            cell = table.columns[self.column][row]
            label = HIDDEN if cell is None else self.places.get(as_label(cell))
            if label is None or (label == HIDDEN and part != "train"):
                raise _unfit(
                    table,
                    row,
                    self.column,
                    f"one of the training part's classes, {listed(list(self.places))}",
                    "move such rows into the training part, or leave them out",
                )
            labels.append(label)
        return torch.tensor(labels, dtype=torch.int64)


def _fit_classes(table: Table, rows: Sequence[int], column: str) -> _Classes:
    cells = table.columns[column]
    names = {as_label(cell) for row in rows if (cell := cells[row]) is not None}
    numbers = {name: as_number(name) for name in names}
    if any(number is None for number in numbers.values()):
        ordered = sorted(names)
    else:
        ordered = sorted(names, key=lambda name: (numbers[name] or 0.0, name))
    return _Classes(column, {name: place for place, name in enumerate(ordered)})


@dataclass(frozen=True, slots=True)
class _Given:
    """Any of several labels, a column for each."""

    names: tuple[str, ...]

    @property
    def units(self) -> tuple[float, ...]:
        return ()

    def told(self) -> JsonValue:
        return list(self.names)

    def numbers(self, table: Table, rows: Sequence[int], part: str) -> Tensor:
        labels = torch.full((len(rows), len(self.names)), HIDDEN, dtype=torch.int64)
        for place, row in enumerate(rows):
            cells = [table.columns[name][row] for name in self.names]
            if part == "train" and all(cell is None for cell in cells):
                continue
            for at, (name, cell) in enumerate(zip(self.names, cells, strict=True)):
                given = None if cell is None else _GIVEN.get(as_label(cell).lower())
                if given is None:
                    raise _unfit(
                        table,
                        row,
                        name,
                        "1 or 0, true or false, yes or no",
                        "fill it in; a training row may leave all of its labels empty",
                    )
                labels[place, at] = given
        return labels


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Numbers, counted in standard deviations from the mean of the training part."""

    columns: tuple[Numeric, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def units(self) -> tuple[float, ...]:
        return tuple(column.std for column in self.columns)

    def told(self) -> JsonValue:
        return [column.told() for column in self.columns]

    def numbers(self, table: Table, rows: Sequence[int], part: str) -> Tensor:
        check_numbers(table, rows, self.columns)
        labels: list[list[float]] = []
        for row in rows:
            targets: list[float] = []
            for column in self.columns:
                cell = table.columns[column.name][row]
                if cell is None and part != "train":
                    raise _unfit(
                        table, row, column.name, "a number", "fill it in, or leave the row out"
                    )
                targets.append(math.nan if cell is None else column.numbers(cell)[0])
            labels.append(targets)
        return torch.tensor(labels, dtype=torch.float32).reshape(len(rows), len(self.columns))


def _fit_numbers(table: Table, rows: Sequence[int], columns: Sequence[str]) -> _Numbers:
    fitted = fit_columns(table, rows, columns)
    numeric = tuple(column for column in fitted if isinstance(column, Numeric))
    if len(numeric) < len(fitted):
        texts = [column.name for column in fitted if not isinstance(column, Numeric)]
        raise DataError(
            f"{table.shown}: {listed(texts)} holds texts; regression expects numbers",
            hint="set task to classification, or name a column of numbers",
        )
    return _Numbers(numeric)


def _unfit(table: Table, row: int, column: str, expected: str, hint: str) -> DataError:
    cell: Cell = table.columns[column][row]
    found = "is empty" if cell is None else f"holds {str(cell)[:60]!r}"
    return DataError(f"{table.place(row)}: {column!r} {found}; expected {expected}", hint=hint)
