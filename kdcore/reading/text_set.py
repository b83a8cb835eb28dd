"""Texts in rows: a text, or a pair of texts, and a class each, made into ids by a tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.dataset import Dataset, Samples, Source
from kdcore.errors import DataError
from kdcore.events import Warned
from kdcore.inputs import InputPath
from kdcore.lazy import torch
from kdcore.reading.faults import Fault
from kdcore.reading.labelling import numbered
from kdcore.reading.labels import NO_LABEL
from kdcore.reading.splitting import stratified
from kdcore.reading.survey import Seen, Survey
from kdcore.reading.table_files import listed
from kdcore.reading.text_rows import BadText, TextRow, drop, short
from kdcore.tokenizing import Encoded, Tokenizer
from kdcore.tokens import Ids

_MAX_BYTES: Final = 2**33
_ID_BYTES: Final = 8
_DIGEST: Final = 16

ColumnName = Annotated[str, Field(min_length=1, max_length=1024)]
Parts = dict[str, list[TextRow]]


@dataclass(frozen=True, slots=True)
class _Read:
    """All rows that are as they should be, by part."""

    tokenizer: Tokenizer
    encoded: Encoded
    parts: Parts
    classes: Mapping[str, int]

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.encoded.ids)

    def members(self) -> Iterator[tuple[str, list[TextRow], list[list[int]]]]:
        """Yield each part with its rows and their ids."""
        start = 0
        for part, rows in self.parts.items():
            yield part, rows, self.encoded.ids[start : start + len(rows)]
            start += len(rows)

    def label_of(self, row: TextRow) -> int:
        """Return the number of a row's class."""
        return NO_LABEL if row.label is None else self.classes[row.label]


class TextSet(Dataset):
    """Texts and a tokenizer; where the texts are, and of which part, is the entry's own."""

    extra: ClassVar[str | None] = "hub"
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
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of each class that is drawn for testing, where nothing else tells the parts."""
    split_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of this draw; the job's own seeds leave it as it is."""

    def flaw(self) -> str | None:
        """Return what is wrong with the options together, in words; None where nothing is."""
        columns = [self.text, self.label, self.text_pair]
        named = [name for name in columns if name is not None]
        if len(set(named)) < len(named):
            return "a column twice"
        return "changes of images in augmentation" if self.augmentation.changes else None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (found := self.flaw()) is None:
            return self
        raise PydanticCustomError(
            "text_options",
            "found {found}; expected texts, parts that are told in one way, and each column to be "
            "one thing",
            {"found": found},
        )

    def picked(
        self, inputs: Path, faults: list[Fault] | None
    ) -> tuple[Parts, Sequence[str] | None]:
        """Return the rows of each part, and the classes in their order where the data tells them.

        Where `faults` are given, bad rows are left out and put there; else they are refused.

        Raises:
            DataError: a file, a column or a row is not as expected; rows are named by their places.
            ExtraMissingError: pyarrow is not installed, and needed.
        """
        raise NotImplementedError

    @property
    def shown(self) -> str:
        """What people call the place of the texts."""
        raise NotImplementedError

    def read(self, inputs: Path) -> Source:
        """Read the rows and make ids of them.

        Raises:
            DataError: a file, a column or a row is not as expected; rows are named by their lines.
            ExtraMissingError: tokenizers, or pyarrow where it is needed, is not installed.
        """
        found = self._read(inputs, None)
        tokenizer, encoded = found.tokenizer, found.encoded
        length = max((len(ids) for ids in encoded.ids), default=1)
        if _ID_BYTES * found.rows * length > _MAX_BYTES:
            raise DataError(
                f"{self.shown}: {found.rows:,} texts of up to {length} tokens take "
                f"{_ID_BYTES * found.rows * length / 2**30:,.1f} GiB of memory; expected at most "
                f"{_MAX_BYTES / 2**30:,.1f}",
                hint="lower data.max_length, or take fewer texts",
            )
        parts: dict[str, Samples] = {}
        for part, rows, all_ids in found.members():
            ids = torch.full((len(rows), length), tokenizer.pad, dtype=torch.int64)
            for place, row in enumerate(all_ids):
                ids[place, : len(row)] = torch.tensor(row)
            labels = torch.tensor([found.label_of(row) for row in rows]).long()
            shown = tuple(row.shown for row in rows) if part == "test" else ()
            parts[part] = Samples(ids, labels, shown)
        return Source(
            train=parts["train"],
            test=parts["test"],
            num_classes=len(found.classes),
            validation=parts.get("validation"),
            class_names=tuple(found.classes),
            preprocessing={
                "kind": "text",
                "tokenizer": "tokenizer.json",
                "text": self.text,
                "text_pair": self.text_pair,
                "label": self.label,
                "max_length": self.max_length,
                "pad": tokenizer.pad,
            },
            warnings=self._cut(found),
            ids=Ids(
                length,
                vocabulary=tokenizer.vocabulary,
                pad=tokenizer.pad,
                separator=encoded.separator,
            ),
            files=tokenizer.files(self.max_length, types=encoded.separator is not None),
        )

    @contextmanager
    def survey(self, inputs: Path, task: str) -> Generator[Survey]:
        """Read the rows for a walk; what cannot be used is named, and ends nothing."""
        faults: list[Fault] = []
        found = self._read(inputs, faults)
        named = task == "classification"
        yield Survey(
            kind="texts",
            class_names=tuple(found.classes) if named else (),
            samples=self._walk(found, named=named),
            faults=faults,
            columns=[],
            warnings=self._cut(found),
        )

    def _walk(self, found: _Read, *, named: bool) -> Iterator[Seen | Fault]:
        for part, rows, all_ids in found.members():
            for row, ids in zip(rows, all_ids, strict=True):
                digest = hashlib.blake2b(json.dumps(ids).encode(), digest_size=_DIGEST).digest()
                yield Seen(part, row.place, found.label_of(row) if named else NO_LABEL, digest)

    def _read(self, inputs: Path, faults: list[Fault] | None) -> _Read:
        tokenizer = Tokenizer(inputs, self.tokenizer, self.pad_token)
        parts, known = self.picked(inputs, faults)
        names = {part: [row.label for row in rows if row.label] for part, rows in parts.items()}
        classes = numbered(names["train"] or names["test"])
        if known is not None:
            classes = {name: place for place, name in enumerate(known)}
        parts = {
            part: self._of_classes(rows, classes, part, faults) for part, rows in parts.items()
        }
        rows = [row for members in parts.values() for row in members]
        encoded = tokenizer.encode(
            [row.text if row.pair is None else (row.text, row.pair) for row in rows],
            self.max_length,
        )
        empty = {row.place for row, ids in zip(rows, encoded.ids, strict=True) if not ids}
        what = "a text without a token"
        bad = [BadText(place, place, f"has {what}") for place in sorted(empty)]
        drop(self.shown, bad, what, "leave these rows out", faults)
        if empty:
            parts = {
                part: [row for row in rows if row.place not in empty]
                for part, rows in parts.items()
            }
            ids = [row for row in encoded.ids if row]
            encoded = Encoded(ids, encoded.separator, encoded.cut)
        return _Read(tokenizer, encoded, parts, classes)

    def _cut(self, found: _Read) -> tuple[Warned, ...]:
        if not found.encoded.cut:
            return ()
        cut = Warned(
            code="texts_cut",
            message=f"{self.shown}: {found.encoded.cut:,} of {found.rows:,} texts have more than "
            f"{self.max_length} tokens, and were cut",
            hint="raise data.max_length, if the network has positions for more",
        )
        return (cut,)

    def drawn(self, rows: Sequence[TextRow]) -> Parts:
        """Return training and test rows, a share of each class drawn for testing."""
        numbers = numbered(row.label for row in rows if row.label is not None)
        labels = [NO_LABEL if row.label is None else numbers[row.label] for row in rows]
        tested = stratified([row.key for row in rows], labels, self.test_share, self.split_seed)
        return {
            "train": [row for row, test in zip(rows, tested, strict=True) if not test],
            "test": [row for row, test in zip(rows, tested, strict=True) if test],
        }

    def _of_classes(
        self,
        rows: list[TextRow],
        classes: Mapping[str, int],
        part: str,
        faults: list[Fault] | None,
    ) -> list[TextRow]:
        """Return the rows whose class is known, or that may lack one."""
        may_lack = part == "train" or all(row.label is None for row in rows)
        what = f"a {self.label!r} that is none of the training part's, {listed(list(classes))}"
        bad: dict[str, BadText] = {}
        for row in rows:
            if row.label in classes or (row.label is None and may_lack):
                continue
            label = "none" if row.label is None else short(row.label)
            bad[row.place] = BadText(row.place, f"{row.place} ({label})", f"has {label} for {what}")
        hint = "move such rows into the training part, or leave them out"
        drop(self.shown, list(bad.values()), f"{what},", hint, faults)
        return [row for row in rows if row.place not in bad]
