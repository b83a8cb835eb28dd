"""Texts that Hugging Face's `datasets` saved to disk: a text, or a pair, and a class in each row.

Formula
    ids = the tokenizer's own, cut to max_length with what it puts around a text, then padded behind
    the end to the longest one that is left. Without a split for testing, round(test_share * n) of
    the n rows of each class are for testing: those whose sha256 of "seed/row" comes first.
Shapes
    (L), int64 in [0, vocabulary); L is the longest text's, at most max_length; classes are numbered
    as `ClassLabel` says, or else in the order of their names; -1 is no label. At most 8 GiB of ids
Paper
    Lhoest et al. Datasets: A Community Library for Natural Language Processing. arXiv:2109.02846
Source
    huggingface/datasets, src/datasets/arrow_dataset.py (save_to_disk); huggingface/tokenizers,
    tokenizers/src/tokenizer/mod.rs, makes the ids
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

from kdcore.reading.arrow_folders import Saved
from kdcore.reading.cells import BadRowError, as_label, plain
from kdcore.reading.faults import Fault
from kdcore.reading.saved_parts import SavedParts
from kdcore.reading.text_rows import BadText, TextRow, drop
from kdcore.reading.text_set import Parts, TextSet


class HuggingfaceText(TextSet, SavedParts):
    """Texts in a folder written by `save_to_disk`, and a tokenizer."""

    name: Literal["huggingface_text"] = "huggingface_text"

    @property
    def shown(self) -> str:
        """The folder."""
        return self.path

    def may_validate(self) -> bool:
        """Return True: there may be a split for validation."""
        return True

    def picked(
        self, inputs: Path, faults: list[Fault] | None
    ) -> tuple[Parts, Sequence[str] | None]:
        """Return the rows of each part, and the classes as `ClassLabel` names them."""
        with ExitStack() as held:
            saved, _ = self.opened(inputs, held)
            parts = {part: self._rows(one, faults) for part, one in saved.items()}
            known = saved["train"].names_of(self.label) if self.label else None
        return parts if "test" in parts else {**parts, **self.drawn(parts["train"])}, known

    def _rows(self, saved: Saved, faults: list[Fault] | None) -> list[TextRow]:
        names = [self.text, self.text_pair, self.label]
        saved.check([name for name in names if name is not None])
        rows: list[TextRow] = []
        bad: list[BadText] = []
        for number, values in enumerate(zip(*_columns(saved, names), strict=False), start=1):
            key = f"row {number}"
            place = f"{saved.shown}, {key}"
            try:
                text, pair, label = map(_told, values, names)
            except BadRowError as error:
                bad.append(BadText(place, key, f"has no text or class: {error.reason}"))
                continue
            if text is None or (self.text_pair and pair is None):
                bad.append(BadText(place, key, "has no text (NA, null or none)"))
            else:
                rows.append(TextRow(place, key, text, pair, label, None))
        drop(saved.shown, bad, "no text", "write texts, or leave these out", faults)
        return rows


def _columns(saved: Saved, names: Sequence[str | None]) -> Iterator[Iterator[Any]]:
    for name in names:
        yield repeat(None) if name is None else saved.column(name)


def _told(value: Any, name: str | None) -> str | None:
    cell = plain(value, str(name))
    return None if cell is None else as_label(cell)
