"""How the cells of a table become labels: fitted on the training part, as each task wants them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from pydantic import JsonValue

from kdcore.errors import DataError
from kdcore.lazy import torch
from kdcore.reading.cells import Cell, as_label
from kdcore.reading.labelling import numbered
from kdcore.reading.labels import NO_LABEL, Label
from kdcore.reading.table_columns import Numeric, bad_cell, fit_numeric, is_numeric
from kdcore.reading.table_files import Table, listed

if TYPE_CHECKING:
    from torch import Tensor

_GIVEN: Final = {"1": 1, "true": 1, "yes": 1, "0": 0, "false": 0, "no": 0}
_SHORT: Final = 60


class Labels(Protocol):
    """What rows are labelled with."""

    hint: ClassVar[str]
    """What to do where a row has no label that is known."""

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

    def of(self, table: Table, row: int, *, needed: bool) -> Label | str:
        """Return what a row is labelled with, or what is wrong with it, in words."""
        ...


def check_labels(task: str, labels: Sequence[str] | None) -> None:
    """Refuse several label columns where a row has one class.

    Raises:
        DataError: there are some.
    """
    if labels is not None and task not in {"multi_label", "regression"}:
        raise DataError(
            f"found data.labels {listed([*labels])} in a task of {task}, which has one class a "
            "row; expected data.label",
            hint="name one column as data.label, or set task to multi_label or regression",
        )


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
    if (known := table.known.get(column)) is None:
        cells = table.columns[column]
        known = list(numbered(as_label(cell) for row in rows if (cell := cells[row]) is not None))
    return _Classes(column, {name: place for place, name in enumerate(known)})


def has_labels(table: Table, rows: Sequence[int], columns: Sequence[str]) -> bool:
    """Return whether any of the rows has a label."""
    return any(table.columns[name][row] is not None for name in columns for row in rows)


def needs_labels(
    task: str, part: str, table: Table, rows: Sequence[int], columns: Sequence[str]
) -> bool:
    """Return whether each row of a part needs a label.

    A training row may lack one; so may all rows of another part where classes are asked for, which
    a teacher can answer.
    """
    return part != "train" and (task != "classification" or has_labels(table, rows, columns))


def label_tensor(labels: Labels, table: Table, rows: Sequence[int], *, needed: bool) -> Tensor:
    """Return the labels of `rows`, `(N)` or `(N, C)`.

    Raises:
        DataError: a row has none that is known, or none at all where one is needed; it is named by
            its line.
    """
    found: list[Label] = []
    for row in rows:
        label = labels.of(table, row, needed=needed)
        if isinstance(label, str):
            raise DataError(f"{table.place(row)}: {label}", hint=labels.hint)
        found.append(label)
    if isinstance(labels, _Classes):
        return torch.tensor(found, dtype=torch.int64)
    kind = torch.float32 if isinstance(labels, _Numbers) else torch.int64
    return torch.tensor(found, dtype=kind).reshape(len(rows), len(labels.names))


@dataclass(frozen=True, slots=True)
class _Classes:
    """One of several classes."""

    hint: ClassVar[str] = "move such rows into the training part, or leave them out"
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

    def of(self, table: Table, row: int, *, needed: bool) -> int | str:
        cell = table.columns[self.column][row]
        label = NO_LABEL if cell is None else self.places.get(as_label(cell))
        if label is None or (label == NO_LABEL and needed):
            expected = f"one of the training part's classes, {listed(list(self.places))}"
            return _unfit(self.column, cell, expected)
        return label


@dataclass(frozen=True, slots=True)
class _Given:
    """Any of several labels, a column for each."""

    hint: ClassVar[str] = "fill it in; a training row may leave all of its labels empty"
    names: tuple[str, ...]

    @property
    def units(self) -> tuple[float, ...]:
        return ()

    def told(self) -> JsonValue:
        return list(self.names)

    def of(self, table: Table, row: int, *, needed: bool) -> list[int] | str:
        cells = [table.columns[name][row] for name in self.names]
        if not needed and all(cell is None for cell in cells):
            return [NO_LABEL] * len(cells)
        labels: list[int] = []
        for name, cell in zip(self.names, cells, strict=True):
            given = None if cell is None else _GIVEN.get(as_label(cell).lower())
            if given is None:
                return _unfit(name, cell, "1 or 0, true or false, yes or no")
            labels.append(given)
        return labels


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Numbers, counted in standard deviations from the mean of the training part."""

    hint: ClassVar[str] = "repair the value, or leave the row out"
    columns: tuple[Numeric, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def units(self) -> tuple[float, ...]:
        return tuple(column.std for column in self.columns)

    def told(self) -> JsonValue:
        return [column.told() for column in self.columns]

    def of(self, table: Table, row: int, *, needed: bool) -> list[float] | str:
        targets: list[float] = []
        for column in self.columns:
            cell = table.columns[column.name][row]
            if reason := bad_cell(column.name, cell, numeric=True):
                return reason
            if cell is None and needed:
                return _unfit(column.name, cell, "a number")
            targets.append(math.nan if cell is None else column.numbers(cell)[0])
        return targets


def _fit_numbers(table: Table, rows: Sequence[int], columns: Sequence[str]) -> _Numbers:
    if texts := [name for name in columns if not is_numeric(table, rows, name)]:
        raise DataError(
            f"{table.shown}: {listed(texts)} holds texts, or nothing; regression expects numbers",
            hint="set task to classification, or name a column of numbers",
        )
    return _Numbers(tuple(fit_numeric(table, rows, name) for name in columns))


def _unfit(column: str, cell: Cell, expected: str) -> str:
    found = "is empty" if cell is None else f"holds {str(cell)[:_SHORT]!r}"
    return f"{column!r} {found}; expected {expected}"
