"""A table of which nothing is told yet: its columns and rows, before one of them is the label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kdcore.events import Warned
from kdcore.reading.cells import as_label
from kdcore.reading.faults import Fault
from kdcore.reading.labels import NO_LABEL
from kdcore.reading.survey import Seen, Survey
from kdcore.reading.table_columns import is_numeric, told_column
from kdcore.reading.table_files import Table, listed, read_table

_DIGEST: Final = 16


def survey_of_rows(inputs: Path, path: str) -> Survey:
    """Read a table for a walk over all of its columns; no row has a label, and all are one part.

    Raises:
        DataError: it cannot be read as a whole; rows that are not as they should be are named.
        ExtraMissingError: it is Parquet, and pyarrow is not installed.
    """
    faults: list[Fault] = []
    table = read_table(inputs, path, faults)
    rows = range(len(table.lines))
    columns = [
        told_column(name, cells, numeric=is_numeric(table, rows, name))
        for name, cells in table.columns.items()
    ]
    untold = Warned(
        code="no_label_named",
        message="no column was named as the label, so no classes are told; found the columns "
        f"{listed(list(table.columns))}",
        hint='name one: POST this report with {"data": {"label": "…"}}',
    )
    return Survey(
        kind="rows",
        class_names=(),
        samples=_walk(table),
        faults=faults,
        columns=columns,
        warnings=(untold,),
    )


def _walk(table: Table) -> Iterator[Seen]:
    for row, line in enumerate(table.lines):
        cells = [cells[row] for cells in table.columns.values()]
        texts = [None if cell is None else as_label(cell) for cell in cells]
        digest = hashlib.blake2b(json.dumps(texts).encode(), digest_size=_DIGEST).digest()
        yield Seen("train", f"{table.unit} {line}", NO_LABEL, digest)
