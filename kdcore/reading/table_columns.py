"""How columns become numbers: fitted on the training part, and written down for whoever asks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import JsonValue

from kdcore.data_report import ColumnTold
from kdcore.errors import DataError
from kdcore.reading.cells import Cell, as_label, as_number
from kdcore.reading.table_files import Table

Missing = Literal["refuse", "mean"]
MAX_VOCABULARY: Final = 1000
"""Different texts of one column."""
_FLOAT32_MAX: Final = 3.4e38
_SHOWN: Final = 5
_SHORT: Final = 60


@dataclass(frozen=True, slots=True)
class Numeric:
    """x = (value - mean) / std; a missing value is the mean."""

    name: str
    mean: float
    std: float

    @property
    def width(self) -> int:
        """Numbers that a value becomes."""
        return 1

    def told(self) -> dict[str, JsonValue]:
        """Return what is delivered."""
        return {"name": self.name, "kind": "number", "mean": self.mean, "std": self.std}

    def numbers(self, cell: Cell) -> list[float]:
        """Return a cell as the network sees it."""
        value = as_number(cell)
        return [0.0 if value is None else (value - self.mean) / self.std]


@dataclass(frozen=True, slots=True)
class Categorical:
    """x is 1 at the place of its text, else 0; all are 0 for a text that training has not seen."""

    name: str
    values: dict[str, int]

    @property
    def width(self) -> int:
        """Numbers that a value becomes."""
        return len(self.values)

    def told(self) -> dict[str, JsonValue]:
        """Return what is delivered."""
        return {"name": self.name, "kind": "text", "values": list(self.values)}

    def numbers(self, cell: Cell) -> list[float]:
        """Return a cell as the network sees it."""
        seen = [0.0] * len(self.values)
        if cell is not None and (place := self.values.get(as_label(cell))) is not None:
            seen[place] = 1.0
        return seen


Column = Numeric | Categorical


def fit_columns(table: Table, rows: Sequence[int], features: Sequence[str]) -> list[Column]:
    """Fit the columns `features` on the training `rows`.

    A column is numeric where more than half of its values are numbers; others are text.

    Raises:
        DataError: a value is no finite number, or there are too many different texts.
    """
    return [_fitted(table, rows, name) for name in features]


def check_missing(table: Table, rows: Sequence[int], features: Sequence[str]) -> None:
    """Refuse missing values, the first few named by their lines."""
    bad = [(row, name) for row in rows for name in features if table.columns[name][row] is None]
    if bad:
        where = ", ".join(
            f"{name!r} in {table.unit} {table.lines[row]}" for row, name in bad[:_SHOWN]
        )
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise DataError(
            f"{table.shown}: found {len(bad)} missing values: {where}{more}",
            hint="fill them, leave the rows or columns out, or set data.missing to mean",
        )


def check_numbers(table: Table, rows: Sequence[int], columns: Sequence[Column]) -> None:
    """Refuse what is no finite number in a numeric column, named by its line."""
    for column in columns:
        if not isinstance(column, Numeric):
            continue
        cells = table.columns[column.name]
        for row in rows:
            if reason := bad_cell(column.name, cells[row], numeric=True):
                raise DataError(
                    f"{table.place(row)}: {reason}",
                    hint="repair the value, or leave the column out of data.features",
                )


def bad_cell(name: str, cell: Cell, *, numeric: bool) -> str | None:
    """Return what is wrong with a cell of a column, in words; None where it is in order."""
    if not numeric or cell is None:
        return None
    value = as_number(cell)
    if value is not None and abs(value) < _FLOAT32_MAX:
        return None
    return (
        f"{name!r} holds {str(cell)[:_SHORT]!r}; expected a finite number, as in the training part"
    )


def is_numeric(table: Table, rows: Sequence[int], name: str) -> bool:
    """Return whether more than half of a column's values are numbers."""
    cells = table.columns[name]
    numbers = [as_number(cells[row]) is not None for row in rows if cells[row] is not None]
    # Most of a column tells what it is: one wrong cell must not turn numbers into texts.
    return 2 * sum(numbers) > len(numbers)


def told_column(name: str, cells: Iterable[Cell], *, numeric: bool) -> ColumnTold:
    """Return what a column holds; cells that are no numbers among numbers are not counted in."""
    missing, distinct, numbers = 0, set[Cell](), list[float]()
    for cell in cells:
        value = as_number(cell) if numeric else None
        missing += cell is None
        if value is not None and abs(value) < _FLOAT32_MAX:
            numbers.append(value)
            distinct.add(value)
        elif cell is not None and not numeric:
            distinct.add(as_label(cell))
    return ColumnTold(
        name=name,
        kind="number" if numeric else "text",
        missing=missing,
        distinct=len(distinct),
        minimum=min(numbers, default=None),
        maximum=max(numbers, default=None),
        mean=math.fsum(numbers) / len(numbers) if numbers else None,
    )


def _fitted(table: Table, rows: Sequence[int], name: str) -> Column:
    cells = table.columns[name]
    known = [row for row in rows if cells[row] is not None]
    if not known:
        raise DataError(
            f"{table.shown}: {name!r} has no value in the training part",
            hint="leave the column out of data.features",
        )
    if is_numeric(table, known, name):
        check_numbers(table, known, [Numeric(name, 0.0, 1.0)])
        return fit_numeric(table, known, name)
    return _categorical(table, known, name)


def fit_numeric(table: Table, rows: Sequence[int], name: str) -> Numeric:
    """Fit a column on its finite numbers; others are left out."""
    cells = [table.columns[name][row] for row in rows]
    good = (cell for cell in cells if not bad_cell(name, cell, numeric=True))
    numbers = [value for cell in good if (value := as_number(cell)) is not None]
    mean = math.fsum(numbers) / len(numbers)
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in numbers) / len(numbers))
    return Numeric(name, mean, std if std > abs(mean) * 1e-12 else 1.0)


def _categorical(table: Table, rows: Sequence[int], name: str) -> Categorical:
    cells = table.columns[name]
    texts = sorted({as_label(cell) for row in rows if (cell := cells[row]) is not None})
    if len(texts) > MAX_VOCABULARY:
        raise DataError(
            f"{table.shown}: {name!r} holds {len(texts):,} different texts; expected at most "
            f"{MAX_VOCABULARY:,}",
            hint="leave the column out of data.features: it looks like a name or free text",
        )
    return Categorical(name, {text: place for place, text in enumerate(texts)})
