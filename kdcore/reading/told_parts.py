"""What a table says of its rows beside their values: which part, which class."""

from __future__ import annotations

from typing import Final

from kdcore.errors import DataError
from kdcore.reading.table_files import Table, listed

PARTS: Final = {
    "train": "train",
    "training": "train",
    "test": "test",
    "val": "validation",
    "validation": "validation",
}
_SHORT: Final = 60


def part_of(table: Table, row: int, column: str) -> str | None:
    """Return the part that a row is told to be of; None where it is no word for one."""
    return PARTS.get(str(table.columns[column][row]).lower())


def not_a_part(table: Table, row: int, column: str) -> str:
    """Return what is wrong with a row's part, in words."""
    return (
        f"{column!r} holds {str(table.columns[column][row])[:_SHORT]!r}; expected train, test or "
        "validation"
    )


def check_columns(table: Table, wanted: list[str]) -> None:
    """Refuse a table that has not all of these columns."""
    if absent := [name for name in wanted if name not in table.columns]:
        raise DataError(
            f"{table.shown}: no column {listed(absent)}; found {listed(list(table.columns))}",
            hint="name the columns as the first line does; capitals count",
        )
