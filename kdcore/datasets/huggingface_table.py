"""Rows of text and numbers that Hugging Face's `datasets` saved to disk, with a class each.

Formula
    A column of numbers: x = (value - mean) / std, both over the training part, std dividing by N;
    a column of texts, or of classes: 1 at the place of the text among those of the training part,
    sorted, else 0. A column is of numbers where most of its training values are; others are then
    refused. Without a split for testing, round(test_share * n) of the n rows of each class are for
    testing: those whose sha256 of "seed/row" comes first.
Shapes
    (D), D being the number of numeric columns and of all different texts; classes are numbered as
    `ClassLabel` says, or else in the order of their names; -1 is no label. At most 50,000,000
    values, and 8 GiB as float32
Paper
    Lhoest et al. Datasets: A Community Library for Natural Language Processing. arXiv:2109.02846
Source
    huggingface/datasets, src/datasets/arrow_dataset.py (save_to_disk)
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from kdcore.reading.arrow_folders import Saved
from kdcore.reading.faults import Fault, refuse
from kdcore.reading.saved_parts import SavedParts
from kdcore.reading.table_files import Table, check_size, rows_of
from kdcore.reading.table_set import Picked, TableSet


class HuggingfaceTable(TableSet, SavedParts):
    """Rows in a folder written by `save_to_disk`."""

    name: Literal["huggingface_table"] = "huggingface_table"
    extra: ClassVar[str | None] = "data"

    def may_validate(self) -> bool:
        """Return True: there may be a split for validation."""
        return True

    def picked(self, inputs: Path, faults: list[Fault] | None, task: str) -> Picked:
        """Return table and rows of each part."""
        bad: list[Fault] = []
        with ExitStack() as held:
            saved, _ = self.opened(inputs, held)
            tables = {part: self._table(one, bad) for part, one in saved.items()}
        if faults is None:
            refuse(bad)
        else:
            faults += bad
        whole = {part: (table, list(range(len(table.lines)))) for part, table in tables.items()}
        return whole if "test" in whole else whole | self.drawn(tables["train"], task)

    def _table(self, saved: Saved, bad: list[Fault]) -> Table:
        """Return the columns that are asked for, in plain Python."""
        own = self.label_columns
        columns = [*own, *self.features] if self.features else list(saved.features)
        saved.check([*own, *columns])
        check_size(saved.rows, len(columns), saved.shown)
        rows = rows_of({name: list(saved.column(name)) for name in columns}, saved.shown, bad)
        classes = {name: names for name in own if (names := saved.names_of(name)) is not None}
        return replace(rows, known=classes)
