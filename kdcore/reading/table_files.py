"""Tables that anybody may have made, read as rows of text and numbers: CSV, JSON lines, Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from kdcore.errors import DataError, ExtraMissingError
from kdcore.reading.cells import BadRowError, Cell, plain, text_cell
from kdcore.reading.faults import Fault, refuse

MAX_FILE_BYTES: Final = 2**30
MAX_CELLS: Final = 50_000_000
_MAX_COLUMNS: Final = 10_000
_MAX_FIELD: Final = 2**17
_SHOWN: Final = 8
_SHORT: Final = 60


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
    known: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The classes of a column in their order, where the file tells them."""

    def place(self, row: int) -> str:
        """Return where a row stands, in words."""
        return f"{self.shown}, {self.unit} {self.lines[row]}"


def read_table(inputs: Path, path: str, faults: list[Fault] | None = None) -> Table:
    """Read a table under the folder `inputs`, its format told by the end of its name.

    Where `faults` are given, rows that are not as they should be are left out and put there.

    Raises:
        DataError: there is none, or a row is not as it should be; such rows are named by their
            lines.
        ExtraMissingError: it is Parquet, and pyarrow is not installed.
    """
    kind = Path(path).suffix.lower()
    readers: dict[str, Callable[[Path, str, list[Fault]], Table]] = {
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
        bad: list[Fault] = []
        table = readers[kind](file, path, bad)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if faults is None:
        refuse(bad)
    else:
        faults += bad
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


def _read_csv(file: Path, shown: str, bad: list[Fault]) -> Table:
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
                reason = (
                    f"found {len(row)} values; expected {len(names)}, one for each of "
                    f"{listed(names)}"
                )
                hint = "put values with commas into double quotes"
                bad.append(Fault(f"{shown}, line {line}", reason, hint))
                continue
            check_size(len(lines), len(names), shown)
            lines.append(line)
            for column, value in zip(values, row, strict=True):
                column.append(text_cell(value))
    except csv.Error as error:
        raise DataError(f"{shown}, line {reader.line_num}: is no CSV ({error})") from None
    return Table(dict(zip(names, values, strict=True)), lines, shown)


def _read_jsonl(file: Path, shown: str, bad: list[Fault]) -> Table:
    columns: dict[str, list[Cell]] = {}
    lines: list[int] = []
    for line, text in enumerate(_text(file, shown).split("\n"), start=1):
        if not text.strip():
            continue
        try:
            row = _json_row(text, columns)
        except BadRowError as error:
            bad.append(Fault(f"{shown}, line {line}", error.reason, error.hint))
            continue
        if not columns:
            _check_names(list(row), shown)
            columns = {name: [] for name in row}
        check_size(len(lines), len(columns), shown)
        lines.append(line)
        for name, column in columns.items():
            column.append(row.get(name))
    return Table(columns, lines, shown)


def _json_row(text: str, columns: Collection[str]) -> dict[str, Cell]:
    """Return a row whose keys are among `columns`, where there are some."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        if twice := [name for name in names if names.count(name) > 1]:
            raise BadRowError(f"the key {twice[0]!r} stands there twice")
        return dict(pairs)

    try:
        row: object = json.loads(text, object_pairs_hook=once)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadRowError(f"is no JSON ({error})") from None
    if not isinstance(row, dict):
        raise BadRowError(f"found {type(row).__name__}; expected an object in each line")
    cells = {name: plain(value, name) for name, value in cast("dict[str, object]", row).items()}
    if new := [name for name in cells if columns and name not in columns]:
        raise BadRowError(
            f"found {listed(new)}, which the first row has not; expected {listed(list(columns))}",
            "give every row the same keys, with null for what is missing",
        )
    return cells


def _read_parquet(file: Path, shown: str, bad: list[Fault]) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise ExtraMissingError(
            f"{shown}: Parquet is read by pyarrow, which is not installed",
            hint="pip install 'stillhouse-server[data]', or save the table as CSV",
        ) from None
    failures = (cast("type[Exception]", pa.ArrowException), ValueError, NotImplementedError)
    try:
        parquet: Any = pq.ParquetFile(file)
        rows, names = (
            int(parquet.metadata.num_rows),
            [str(one) for one in parquet.schema_arrow.names],
        )
        _check_names(names, shown)
        check_size(rows, len(names), shown)
        read: Any = parquet.read()
        cells = {name: cast("list[object]", read.column(name).to_pylist()) for name in names}
    except failures as error:
        told = str(error).splitlines()[0][:_SHORT] if str(error) else type(error).__name__
        raise DataError(
            f"{shown}: is not a readable Parquet file ({told})",
            hint="write it anew, or save the table as CSV",
        ) from None
    return rows_of(cells, shown, bad)


def rows_of(cells: Mapping[str, Sequence[object]], shown: str, bad: list[Fault]) -> Table:
    """Return the rows of columns whose cells may be anything; what is none is put to the bad."""
    columns: dict[str, list[Cell]] = {name: [] for name in cells}
    lines: list[int] = []
    for line, row in enumerate(zip(*cells.values(), strict=True), start=1):
        try:
            values = [plain(value, name) for name, value in zip(cells, row, strict=True)]
        except BadRowError as error:
            bad.append(Fault(f"{shown}, row {line}", error.reason, error.hint))
            continue
        lines.append(line)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    return Table(columns, lines, shown, unit="row")


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


def check_size(rows: int, columns: int, shown: str) -> None:
    """Refuse more values than a table may have."""
    if (rows + 1) * columns > MAX_CELLS:
        raise DataError(
            f"{shown}: has more than {MAX_CELLS:,} values",
            hint="leave out columns and rows that are not needed",
        )


def listed(names: list[str]) -> str:
    """Return names in words, the first few of many."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more
