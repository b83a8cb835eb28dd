"""Tables that anybody may have made, read as rows of text and numbers: CSV, JSON lines, Parquet."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from kdcore.errors import DataError, ExtraMissingError

Cell = str | float | None
"""Text, a number, or nothing."""

MAX_FILE_BYTES: Final = 2**30
MAX_CELLS: Final = 50_000_000
_MAX_COLUMNS: Final = 10_000
_MAX_FIELD: Final = 2**17
_SHOWN: Final = 8
_SHORT: Final = 60
_WHOLE: Final = 2.0**53
_MISSING: Final = frozenset({"", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns of equal length."""

    columns: dict[str, list[Cell]]
    lines: list[int]
    """Where in its file each row stands, counted from 1."""
    shown: str
    """What people call the file."""
    unit: str = "line"
    """What is counted: Parquet has rows."""

    def place(self, row: int) -> str:
        """Return where a row stands, in words."""
        return f"{self.shown}, {self.unit} {self.lines[row]}"


def read_table(inputs: Path, path: str) -> Table:
    """Read a table under the folder `inputs`, its format told by the end of its name.

    Raises:
        DataError: there is none, or a row is not as it should be; the row is named by its line.
        ExtraMissingError: it is Parquet, and pyarrow is not installed.
    """
    kind = Path(path).suffix.lower()
    readers: dict[str, Callable[[Path, str], Table]] = {
        ".csv": _read_csv,
        ".jsonl": _read_jsonl,
        ".ndjson": _read_jsonl,
        ".parquet": _read_parquet,
    }
    if kind not in readers:
        raise DataError(
            f"{path}: found a name that ends in {kind!r}; expected one of {', '.join(readers)}",
            hint="save the table as CSV, with a first line of column names",
        )
    file = inputs / path
    try:
        if not file.is_file():
            raise DataError(
                f"{path}: no such file in the inputs folder", hint="put the table there"
            )
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataError(
                f"{path}: has {size:,} bytes; expected at most {MAX_FILE_BYTES:,}",
                hint="leave out columns and rows that are not needed",
            )
        table = readers[kind](file, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not table.lines:
        raise DataError(f"{path}: has no rows; at least one is needed")
    return table


def _text(file: Path, shown: str) -> str:
    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")  # spreadsheets mark UTF-8 by three bytes
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{shown}, line {line}: found bytes that are no UTF-8",
            hint="save the table in UTF-8",
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{shown}, line {line}: found a NUL character; expected text")
    return text


def _read_csv(file: Path, shown: str) -> Table:
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.reader(io.StringIO(_text(file, shown), newline=""), strict=True)
    lines: list[int] = []
    try:
        names = next(reader, None)
        if not names:
            raise DataError(f"{shown}: is empty; expected a first line of column names")
        names = [name.strip() for name in names]
        _check_names(names, shown)
        values: list[list[Cell]] = [[] for _ in names]
        before = reader.line_num
        for row in reader:
            line, before = before + 1, reader.line_num
            if not row:
                continue  # an empty line is none
            if len(row) != len(names):
                raise DataError(
                    f"{shown}, line {line}: found {len(row)} values; expected {len(names)}, "
                    f"one for each of {listed(names)}",
                    hint="put values with commas into double quotes",
                )
            _check_size(len(lines), len(names), shown)
            lines.append(line)
            for column, value in zip(values, row, strict=True):
                column.append(_cell(value))
    except csv.Error as error:
        raise DataError(f"{shown}, line {reader.line_num}: is no CSV ({error})") from None
    return Table(dict(zip(names, values, strict=True)), lines, shown)


def _cell(text: str) -> Cell:
    """Return what a cell says; columns decide later whether their texts are numbers."""
    text = text.strip()
    return None if text.lower() in _MISSING else text


def _read_jsonl(file: Path, shown: str) -> Table:
    columns: dict[str, list[Cell]] = {}
    lines: list[int] = []
    for line, text in enumerate(_text(file, shown).split("\n"), start=1):
        if not text.strip():
            continue
        row = _json_row(text, f"{shown}, line {line}")
        if not columns:
            _check_names(list(row), shown)
            columns = {name: [] for name in row}
        if new := [name for name in row if name not in columns]:
            raise DataError(
                f"{shown}, line {line}: found {listed(new)}, which the first row has not; "
                f"expected {listed(list(columns))}",
                hint="give every row the same keys, with null for what is missing",
            )
        _check_size(len(lines), len(columns), shown)
        lines.append(line)
        for name, column in columns.items():
            column.append(_plain(row.get(name), name, f"{shown}, line {line}"))
    return Table(columns, lines, shown)


def _json_row(text: str, place: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if twice := [name for name in names if names.count(name) > 1]:
            raise DataError(f"{place}: the key {twice[0]!r} stands there twice")
        return dict(pairs)

    try:
        row: object = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: is no JSON ({error})") from None
    if not isinstance(row, dict):
        raise DataError(f"{place}: found {type(row).__name__}; expected an object in each line")
    return cast("dict[str, Any]", row)


def _read_parquet(file: Path, shown: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise ExtraMissingError(
            f"{shown}: Parquet is read by pyarrow, which is not installed",
            hint="pip install 'stillhouse-server[data]', or save the table as CSV",
        ) from None
    failures = (cast("type[Exception]", pa.ArrowException), ValueError, NotImplementedError)
    columns: dict[str, list[Cell]] = {}
    try:
        parquet: Any = pq.ParquetFile(file)
        rows, names = (
            int(parquet.metadata.num_rows),
            [str(one) for one in parquet.schema_arrow.names],
        )
        _check_names(names, shown)
        _check_size(rows, len(names), shown)
        read: Any = parquet.read()
        for name in names:
            values = cast("list[object]", read.column(name).to_pylist())
            columns[name] = [
                _plain(value, name, f"{shown}, row {row}") for row, value in enumerate(values, 1)
            ]
    except failures as error:
        told = str(error).splitlines()[0][:_SHORT] if str(error) else type(error).__name__
        raise DataError(
            f"{shown}: is not a readable Parquet file ({told})",
            hint="write it anew, or save the table as CSV",
        ) from None
    return Table(columns, list(range(1, rows + 1)), shown, unit="row")


def _plain(value: object, name: str, place: str) -> Cell:
    """Return a cell that is text, a number or nothing; truth is 0 or 1."""
    if value is None or isinstance(value, str):
        return None if value is None else _cell(value)
    if isinstance(value, bool | int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        return None if math.isnan(number) else number
    if hasattr(value, "as_tuple"):
        return float(str(value))  # a decimal of Parquet
    raise DataError(
        f"{place}: {name!r} holds {type(value).__name__}; expected text, a number or nothing",
        hint="leave the column out, or write it as text or numbers",
    )


def as_number(cell: Cell) -> float | None:
    """Return a cell's number, or None where it holds none."""
    if isinstance(cell, int | float):
        return float(cell)
    try:
        # Python also reads "1_000", which no table means.
        return None if cell is None or "_" in str(cell) else float(cell)
    except ValueError:
        return None


def as_label(cell: str | float) -> str:
    """Return a cell as a class is called: 3.0 is 3."""
    whole = isinstance(cell, float) and abs(cell) < _WHOLE and cell.is_integer()
    return str(int(cell)) if whole else str(cell)


def _check_names(names: list[str], shown: str) -> None:
    twice = (
        sorted({name for name in names if names.count(name) > 1})
        if len(set(names)) < len(names)
        else []
    )
    if "" in names:
        raise DataError(
            f"{shown}: column {names.index('') + 1} has no name; expected a name for each",
            hint="the first line of a CSV names the columns",
        )
    if twice:
        raise DataError(f"{shown}: found {listed(twice)} more than once; expected one of each name")
    if len(names) > _MAX_COLUMNS:
        raise DataError(f"{shown}: has {len(names):,} columns; expected at most {_MAX_COLUMNS:,}")


def _check_size(rows: int, columns: int, shown: str) -> None:
    if (rows + 1) * columns > MAX_CELLS:
        raise DataError(
            f"{shown}: has more than {MAX_CELLS:,} values",
            hint="leave out columns and rows that are not needed",
        )


def listed(names: list[str]) -> str:
    """Return names in words, the first few of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more
