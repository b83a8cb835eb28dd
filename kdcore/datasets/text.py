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

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.dataset import Dataset, Samples, Source
from kdcore.errors import DataError
from kdcore.events import Warned
from kdcore.inputs import InputPath
from kdcore.lazy import torch
from kdcore.reading.cells import as_number
from kdcore.reading.splitting import stratified
from kdcore.reading.table_files import listed
from kdcore.reading.text_rows import Columns, TextRow, read_rows, refuse_rows, short
from kdcore.tokenizing import Tokenizer
from kdcore.tokens import Ids

_MAX_BYTES: Final = 2**33
_ID_BYTES: Final = 8
_NO_LABEL: Final = -1
_PARTS: Final = {
    "train": "train",
    "training": "train",
    "test": "test",
    "val": "validation",
    "validation": "validation",
}

ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]
Parts = dict[str, list[TextRow]]


class Text(Dataset):
    """Texts of a JSON lines, CSV or Parquet file, and a tokenizer."""

    name: Literal["text"] = "text"
    extra: ClassVar[str | None] = "hub"
    path: InputPath
    """The `.jsonl`, `.csv` or `.parquet` file, relative to the inputs folder."""
    tokenizer: InputPath
    """The tokenizer's `tokenizer.json`, relative to the inputs folder."""
    text: ColumnName = "text"
    """The column of texts."""
    text_pair: ColumnName | None = None
    """The column of second texts, where each sample is a pair."""
    label: ColumnName | None = "label"
    """The column that names the class; where it is empty in a training row, there is no label. null
    where nobody labelled any text."""
    max_length: Annotated[int, Field(ge=2, le=8192)] = 128
    """Tokens of the longest text, with those that the tokenizer puts around it; longer ones are
    cut."""
    pad_token: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """The token behind a text's end; `[PAD]` or `<pad>` where it is not given."""
    test_path: InputPath | None = None
    """A file of its own for testing, with the same columns."""
    validation_path: InputPath | None = None
    """A file of its own for validation, beside one for testing."""
    unlabelled_path: InputPath | None = None
    """A file of further training texts that nobody labelled: a `.txt` with a text in each line, or
    a table."""
    split_column: ColumnName | None = None
    """A column that says `train`, `test` or `validation` in each row."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class that is drawn for testing, where nothing else tells the parts."""
    split_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of this draw; the job's own seeds leave it as it is."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        columns = [self.text, self.label, self.text_pair, self.split_column]
        named = [name for name in columns if name is not None]
        if self.split_column is not None and (self.test_path or self.validation_path):
            found = "split_column beside a file for testing or validation"
        elif self.validation_path and not self.test_path:
            found = "validation_path without test_path"
        elif len(set(named)) < len(named):
            found = "a column twice"
        elif self.text_pair and str(self.unlabelled_path).lower().endswith(".txt"):
            found = "text_pair beside a text file, which has no pairs"
        elif self.augmentation.changes:
            found = "changes of images in augmentation"
        else:
            return self
        raise PydanticCustomError(
            "text_options",
            "found {found}; expected texts, parts that are told in one way, and each column to be "
            "one thing",
            {"found": found},
        )

    def may_validate(self) -> bool:
        """Return whether rows may be told to be for validation."""
        return super().may_validate() or bool(self.validation_path or self.split_column)

    def read(self, inputs: Path) -> Source:
        """Read the rows and make ids of them.

        Raises:
            DataError: a file, a column or a row is not as expected; rows are named by their lines.
            ExtraMissingError: tokenizers, or pyarrow for Parquet, is not installed.
        """
        tokenizer = Tokenizer(inputs, self.tokenizer, self.pad_token)
        parts = self._parts(inputs)
        classes = _numbered(row.label for row in parts["train"] if row.label is not None)
        classes = classes or _numbered(row.label for row in parts["test"] if row.label is not None)
        labels = {part: self._labels(rows, classes, part) for part, rows in parts.items()}
        rows = [row for members in parts.values() for row in members]
        texts = [row.text if row.pair is None else (row.text, row.pair) for row in rows]
        encoded = tokenizer.encode(texts, self.max_length)
        places = [row.place for row, ids in zip(rows, encoded.ids, strict=True) if not ids]
        refuse_rows(self.path, places, "a text without a token", "leave these rows out")
        length = max((len(ids) for ids in encoded.ids), default=1)
        if _ID_BYTES * len(rows) * length > _MAX_BYTES:
            raise DataError(
                f"{self.path}: {len(rows):,} texts of up to {length} tokens take "
                f"{_ID_BYTES * len(rows) * length / 2**30:,.1f} GiB of memory; expected at most "
                f"{_MAX_BYTES / 2**30:,.1f}",
                hint="lower data.max_length, or take fewer texts",
            )
        inputs_by_part: dict[str, Samples] = {}
        start = 0
        for part, members in parts.items():
            ids = torch.full((len(members), length), tokenizer.pad, dtype=torch.int64)
            for place, row in enumerate(encoded.ids[start : start + len(members)]):
                ids[place, : len(row)] = torch.tensor(row)
            start += len(members)
            shown = tuple(row.shown for row in members) if part == "test" else ()
            inputs_by_part[part] = Samples(ids, torch.tensor(labels[part]).long(), shown)
        return Source(
            train=inputs_by_part["train"],
            test=inputs_by_part["test"],
            num_classes=len(classes),
            validation=inputs_by_part.get("validation"),
            class_names=tuple(classes),
            preprocessing={
                "kind": "text",
                "tokenizer": "tokenizer.json",
                "text": self.text,
                "text_pair": self.text_pair,
                "label": self.label,
                "max_length": self.max_length,
                "pad": tokenizer.pad,
            },
            warnings=tuple(self._cut(encoded.cut, len(rows))),
            ids=Ids(
                length,
                vocabulary=tokenizer.vocabulary,
                pad=tokenizer.pad,
                separator=encoded.separator,
            ),
            files=tokenizer.files(self.max_length, types=encoded.separator is not None),
        )

    def _cut(self, cut: int, everything: int) -> list[Warned]:
        if not cut:
            return []
        return [
            Warned(
                code="texts_cut",
                message=f"{self.path}: {cut:,} of {everything:,} texts have more than "
                f"{self.max_length} tokens, and were cut",
                hint="raise data.max_length, if the network has positions for more",
            )
        ]

    def _parts(self, inputs: Path) -> Parts:
        """Return the rows of each part."""
        columns = Columns(self.text, self.text_pair, self.label, self.split_column)
        rows = read_rows(inputs, self.path, columns)
        if self.test_path:
            files = {"test": self.test_path, "validation": self.validation_path}
            others = {
                part: read_rows(inputs, path, columns) for part, path in files.items() if path
            }
            parts = {"train": rows, **others}
        elif self.split_column:
            parts = self._told(rows)
        else:
            parts = self._drawn(rows)
        if self.unlabelled_path:
            alone = Columns(self.text, self.text_pair, None, None)
            parts["train"] = [*parts["train"], *read_rows(inputs, self.unlabelled_path, alone)]
        return parts

    def _told(self, rows: Sequence[TextRow]) -> Parts:
        parts: Parts = {"train": [], "test": []}
        bad = [row.key for row in rows if (row.part or "").lower() not in _PARTS]
        refuse_rows(
            self.path,
            bad,
            f"a {self.split_column!r} that is none of train, test and validation",
            "name the part in each row",
        )
        for row in rows:
            parts.setdefault(_PARTS[(row.part or "").lower()], []).append(row)
        return parts

    def _drawn(self, rows: Sequence[TextRow]) -> Parts:
        numbers = _numbered(row.label for row in rows if row.label is not None)
        labels = [_NO_LABEL if row.label is None else numbers[row.label] for row in rows]
        tested = stratified([row.key for row in rows], labels, self.test_share, self.split_seed)
        return {
            "train": [row for row, test in zip(rows, tested, strict=True) if not test],
            "test": [row for row, test in zip(rows, tested, strict=True) if test],
        }

    def _labels(self, rows: Sequence[TextRow], classes: Mapping[str, int], part: str) -> list[int]:
        found = [_NO_LABEL if row.label is None else classes.get(row.label) for row in rows]
        may_lack = part == "train" or all(row.label is None for row in rows)
        bad = [
            f"{row.place} ({'none' if row.label is None else short(row.label)})"
            for row, label in zip(rows, found, strict=True)
            if label is None or (label == _NO_LABEL and not may_lack)
        ]
        refuse_rows(
            self.path,
            bad,
            f"a {self.label!r} that is none of the training part's, {listed(list(classes))},",
            "move such rows into the training part, or leave them out",
        )
        return [_NO_LABEL if label is None else label for label in found]


def _numbered(names: Iterable[str]) -> dict[str, int]:
    """Return the label of each class: in order of the names, of numbers by size."""
    unique = set(names)
    numbers = {name: as_number(name) for name in unique}
    if any(number is None for number in numbers.values()):
        ordered = sorted(unique)
    else:
        ordered = sorted(unique, key=lambda name: (numbers[name] or 0.0, name))
    return {name: place for place, name in enumerate(ordered)}
