"""Texts of your own: a text, or a pair of texts, and a class in each row.

Formula
    ids = the tokenizer's own, cut to max_length with what it puts around a text, then padded behind
    the end to the longest one that is left.
    Without a column or a file that tells the parts, round(test_share * n) of the n rows of each
    class are for testing: those whose sha256 of "seed/line" comes first.
Shapes
    (L), int64 in [0, vocabulary); L is the longest text's, at most max_length; classes are numbered
    in the order of their names, numbers by size. At most 8 GiB of ids
Paper
    Schuster, Nakajima. Japanese and Korean Voice Search. ICASSP 2012 (word pieces).
    doi:10.1109/ICASSP.2012.6289079; as encoders are given them: Devlin, Chang, Lee, Toutanova.
    BERT. arXiv:1810.04805
Source
    huggingface/tokenizers, tokenizers/src/tokenizer/mod.rs, does it; huggingface/transformers,
    src/transformers/tokenization_utils_tokenizers.py, makes the same ids out of what is delivered
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from kdcore.inputs import InputPath
from kdcore.reading.faults import Fault
from kdcore.reading.text_rows import BadText, Columns, TextRow, drop, read_rows
from kdcore.reading.text_set import Parts, TextSet
from kdcore.reading.told_parts import PARTS

ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]


class Text(TextSet):
    """Texts of a JSON lines, CSV or Parquet file, and a tokenizer."""

    name: Literal["text"] = "text"
    path: InputPath
    """The `.jsonl`, `.csv` or `.parquet` file, relative to the inputs folder."""
    test_path: InputPath | None = None
    """A file of its own for testing, with the same columns."""
    validation_path: InputPath | None = None
    """A file of its own for validation, beside one for testing."""
    unlabelled_path: InputPath | None = None
    """A file of further training texts that nobody labelled: a `.txt` with a text in each line, or
    a table."""
    split_column: ColumnName | None = None
    """A column that says `train`, `test` or `validation` in each row."""

    def flaw(self) -> str | None:
        """Return what is wrong with the options together, in words; None where nothing is."""
        if self.split_column is not None and (self.test_path or self.validation_path):
            return "split_column beside a file for testing or validation"
        if self.validation_path and not self.test_path:
            return "validation_path without test_path"
        if self.split_column in {self.text, self.text_pair, self.label} - {None}:
            return "a column twice"
        if self.text_pair and str(self.unlabelled_path).lower().endswith(".txt"):
            return "text_pair beside a text file, which has no pairs"
        return super().flaw()

    @property
    def shown(self) -> str:
        """The file."""
        return self.path

    def may_validate(self) -> bool:
        """Return whether rows may be told to be for validation."""
        return super().may_validate() or bool(self.validation_path or self.split_column)

    def picked(
        self, inputs: Path, faults: list[Fault] | None
    ) -> tuple[Parts, Sequence[str] | None]:
        """Return the rows of each part; a file names no classes in an order of its own."""
        columns = Columns(self.text, self.text_pair, self.label, self.split_column)
        rows = read_rows(inputs, self.path, columns, faults)
        if self.test_path:
            files = {"test": self.test_path, "validation": self.validation_path}
            others = {
                part: read_rows(inputs, path, columns, faults)
                for part, path in files.items()
                if path
            }
            parts = {"train": rows, **others}
        elif self.split_column:
            parts = self._told(rows, faults)
        else:
            parts = self.drawn(rows)
        if self.unlabelled_path:
            alone = Columns(self.text, self.text_pair, None, None)
            more = read_rows(inputs, self.unlabelled_path, alone, faults)
            parts["train"] = [*parts["train"], *more]
        return parts, None

    def _told(self, rows: Sequence[TextRow], faults: list[Fault] | None) -> Parts:
        parts: Parts = {"train": [], "test": []}
        what = f"a {self.split_column!r} that is none of train, test and validation"
        bad: list[BadText] = []
        for row in rows:
            if (part := PARTS.get((row.part or "").lower())) is None:
                bad.append(BadText(row.place, row.key, f"has {what}"))
            else:
                parts.setdefault(part, []).append(row)
        drop(self.path, bad, what, "name the part in each row", faults)
        return parts
