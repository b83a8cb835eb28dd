"""Texts that anybody may have written down: rows of a table, or lines of a text file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kdcore.errors import DataError
from kdcore.reading.cells import as_label
from kdcore.reading.faults import Fault
from kdcore.reading.table_files import MAX_FILE_BYTES, listed, read_table

_SHOWN: Final = 8
_SHORT: Final = 60


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table are read; a text file has no columns, and no labels."""

    text: str
    pair: str | None
    label: str | None
    part: str | None


@dataclass(frozen=True, slots=True)
class TextRow:
    """One text, or a pair of texts."""

    place: str
    """Where it stands, as people find it."""
    key: str
    """What tells it from the other rows of its file."""
    text: str
    pair: str | None
    label: str | None
    """The name of its class; None where it has none."""
    part: str | None
    """What its row says of its part."""

    @property
    def shown(self) -> str:
        """Return what a reader sees of it."""
        return self.text if self.pair is None else f"{self.text} / {self.pair}"


@dataclass(frozen=True, slots=True)
class BadText:
    """A row that cannot be used."""

    place: str
    shown: str
    """The place, as it stands in a row with others."""
    reason: str
    """What was found; it follows the place in a sentence."""


def read_rows(
    inputs: Path, path: str, columns: Columns, faults: list[Fault] | None = None
) -> list[TextRow]:
    """Read the rows of a file under the folder `inputs`, its format told by the end of its name.

    Where `faults` are given, bad rows are left out and put there.

    Raises:
        DataError: there is none, it lacks a column, or a row has no text; rows are named by lines.
        ExtraMissingError: it is Parquet, and pyarrow is not installed.
    """
    if Path(path).suffix.lower() == ".txt":
        return _lines(inputs / path, path, columns)
    table = read_table(inputs, path, faults)
    names = [columns.text, columns.pair, columns.label, columns.part]
    if absent := [name for name in names if name and name not in table.columns]:
        raise DataError(
            f"{path}: no column {listed(absent)}; found {listed(list(table.columns))}",
            hint="name the columns as the file does; capitals count",
        )

    def cell(name: str | None, row: int) -> str | None:
        value = table.columns[name][row] if name else None
        return None if value is None else as_label(value)

    rows: list[TextRow] = []
    empty: list[BadText] = []
    what = "no text (an empty cell, NA, null or none)"
    for row, line in enumerate(table.lines):
        key = f"{table.unit} {line}"
        text, pair = cell(columns.text, row), cell(columns.pair, row)
        if text is None or (columns.pair and pair is None):
            empty.append(BadText(table.place(row), key, f"has {what}"))
            continue
        label, part = cell(columns.label, row), cell(columns.part, row)
        rows.append(TextRow(table.place(row), key, text, pair, label, part))
    drop(path, empty, what, "write texts, or leave these out", faults)
    return rows


def drop(
    path: str, bad: Sequence[BadText], found: str, hint: str, faults: list[Fault] | None
) -> None:
    """Put bad rows to the `faults`; where there are none to put them to, refuse them.

    Raises:
        DataError: there are some, of which it names the first few.
    """
    if faults is not None:
        faults += [Fault(one.place, one.reason, hint) for one in bad]
    elif bad:
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        named = ", ".join(one.shown for one in bad[:_SHOWN])
        raise DataError(
            f"{path}: found {found} in {named}{more}; expected it in none",
            hint=hint,
        )


def _lines(file: Path, shown: str, columns: Columns) -> list[TextRow]:
    if asked := [name for name in (columns.pair, columns.label, columns.part) if name]:
        raise DataError(
            f"{shown}: found a text file, which has no columns such as {listed(asked)}; expected a "
            "table, or texts that nobody labelled in unlabelled_path",
            hint="write a line of JSON for each text (.jsonl), with a key for each column",
        )
    try:
        if not file.is_file():
            raise DataError(f"{shown}: no such file in the inputs folder", hint="put it there")
        if (size := file.stat().st_size) > MAX_FILE_BYTES:
            raise DataError(f"{shown}: has {size:,} bytes; expected at most {MAX_FILE_BYTES:,}")
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{shown}: cannot be read ({error.strerror or error})") from None
    rows: list[TextRow] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        key = f"line {number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise DataError(
                f"{shown}, {key}: found bytes that are no UTF-8", hint="save the file in UTF-8"
            ) from None
        if text:
            rows.append(TextRow(f"{shown}, {key}", key, text, None, None, None))
    return rows


def short(name: str) -> str:
    """Return a name as a message shows it."""
    return repr(name[:_SHORT])
