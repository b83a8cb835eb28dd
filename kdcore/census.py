"""Counts of a walk over samples, in one pass: of each sample a digest stays, and nothing else."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from kdcore.data_report import (
    ClassTold,
    Copies,
    Duplicates,
    Faults,
    FaultTold,
    PartTold,
    SampleTold,
    Sizes,
)
from kdcore.reading.faults import Fault
from kdcore.reading.labels import NO_LABEL, Label, given, is_labelled
from kdcore.reading.survey import Seen

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS: Final = ("train", "test", "validation")
MOST_FAULTS: Final = 1_000
MOST_CLASSES: Final = 1_000
MOST_PICTURES: Final = 400
_MOST_GROUPS: Final = 50
_MOST_COPIES: Final = 10
_ACROSS: Final = (("test", "train"), ("validation", "train"), ("test", "validation"))


class Census:
    """What is known of the samples so far."""

    def __init__(self, class_names: Sequence[str], *, thumbnails: int) -> None:
        """Count nothing yet; keep so many pictures a class."""
        self.class_names = class_names
        self._each = min(thumbnails, MOST_PICTURES // max(len(class_names), 1) or 1)
        self._pictures: dict[int, list[str]] = {}
        self._digests = bytearray()
        self._parts = array("b")
        self._labels = array("q")
        self._counts = Counter[tuple[str, int]]()
        self._labelled = array("b")
        self._names: list[str] = []
        self._sizes = Counter[tuple[int, int]]()
        self._faults: list[FaultTold] = []
        self._fault_count = 0

    def add(self, one: Seen | Fault) -> None:
        """Count a sample, or what is named as one."""
        if isinstance(one, Fault):
            self._fault_count += 1
            if len(self._faults) < MOST_FAULTS:
                self._faults.append(FaultTold(name=one.name, reason=one.reason))
            return
        self._digests += one.digest
        self._parts.append(PARTS.index(one.part))
        self._labels.append(_number_of(one.label))
        self._labelled.append(is_labelled(one.label))
        self._names.append(one.name)
        if one.size:
            self._sizes[one.size] += 1
        for label in given(one.label):
            self._counts[one.part, label] += 1
            if one.picture and one.part == "train":
                self._show(label, one.picture)

    def _show(self, label: int, picture: Callable[[], str | None]) -> None:
        kept = self._pictures.setdefault(label, [])
        if len(kept) < self._each and len(self._pictures) <= MOST_PICTURES:
            kept += [f"data:image/png;base64,{shown}"] if (shown := picture()) else []

    @property
    def faults(self) -> Faults:
        """What cannot be used."""
        return Faults(count=self._fault_count, shown=self._faults)

    @property
    def sizes(self) -> Sizes | None:
        """Sizes of images, if these are images."""
        if not self._sizes:
            return None
        ((most, count),) = self._sizes.most_common(1)
        by_pixels = sorted(self._sizes, key=lambda size: (size[0] * size[1], size))
        return Sizes(
            smallest=by_pixels[0],
            largest=by_pixels[-1],
            different=len(self._sizes),
            most=most,
            share=count / self._sizes.total(),
        )

    def parts(self) -> dict[str, PartTold]:
        """Return the samples of each part."""
        parts, known = np.frombuffer(self._parts, np.int8), np.frombuffer(self._labelled, bool)
        told: dict[str, PartTold] = {}
        for number, part in enumerate(PARTS):
            samples = int((parts == number).sum())
            labelled = int(((parts == number) & known).sum())
            if samples or part != "validation":
                told[part] = PartTold(
                    samples=samples, labelled=labelled, unlabelled=samples - labelled
                )
        return told

    def counts(self) -> dict[str, NDArray[np.int64]]:
        """Return for each part how many samples each class, or each label, has `(C,)`."""
        highest = max((label for _, label in self._counts), default=-1)
        size = max(len(self.class_names), highest + 1)
        return {
            part: np.array([self._counts[part, label] for label in range(size)], np.int64)
            for part in self.parts()
        }

    def classes(self) -> list[ClassTold]:
        """Return the classes; of very many, the smallest and the largest."""
        counts = self.counts()
        places = np.argsort(counts["train"], kind="stable")
        if len(places) > MOST_CLASSES:
            places = np.concatenate((places[: MOST_CLASSES // 2], places[-MOST_CLASSES // 2 :]))
        return [
            ClassTold(
                label=label,
                name=self.name_of(label),
                counts={part: int(count[label]) for part, count in counts.items()},
                thumbnails=self._pictures.get(label, []),
            )
            for label in sorted(map(int, places))
        ]

    def name_of(self, label: int) -> str:
        """Return what a class is called."""
        return self.class_names[label] if label < len(self.class_names) else str(label)

    def fingerprint(self) -> str:
        """Return sha256 over what the samples are, in whatever order they were met."""
        parts, labels = self._arrays()
        high, low = self._halves()
        order = np.lexsort((low, high, labels, parts))
        digest = hashlib.sha256("\0".join(self.class_names).encode(errors="surrogateescape"))
        for column, kind in ((parts, "<i1"), (labels, "<i8"), (high, "<u8"), (low, "<u8")):
            digest.update(column[order].astype(kind).tobytes())
        return digest.hexdigest()

    def duplicates(self) -> Duplicates:
        """Return what stands there more than once."""
        within, across, conflicting = Counter[str](), Counter[str](), 0
        shown: list[tuple[tuple[bool, bool, int], list[int]]] = []
        groups = 0
        for members in self._groups():
            groups += 1
            parts = Counter(PARTS[self._parts[one]] for one in members)
            labels = {self._labels[one] for one in members} - {NO_LABEL}
            for part, count in parts.items():
                within[part] += count - 1
            for first, second in _ACROSS:
                if parts[first] and parts[second]:
                    across[f"{first} in {second}"] += parts[first]
            if len(labels) > 1:
                conflicting += sum(self._labels[one] != NO_LABEL for one in members)
            shown.append(((len(parts) < 2, len(labels) < 2, members[0]), members))  # noqa: PLR2004
            if len(shown) > 2 * _MOST_GROUPS:
                shown = sorted(shown, key=lambda one: one[0])[:_MOST_GROUPS]
        shown.sort(key=lambda one: one[0])
        return Duplicates(
            within={part: count for part, count in within.items() if count},
            across=dict(across),
            conflicting=conflicting,
            groups=groups,
            shown=[
                Copies(
                    samples=[self._told(one) for one in members[:_MOST_COPIES]],
                    count=len(members),
                    across=not alone,
                    conflicting=not agreed,
                )
                for (alone, agreed, _), members in shown[:_MOST_GROUPS]
            ],
        )

    def _told(self, place: int) -> SampleTold:
        label = self._labels[place]
        return SampleTold(
            part=PARTS[self._parts[place]],
            name=self._names[place],
            label=None if label < 0 else self.name_of(label),
        )

    def _groups(self) -> Iterator[list[int]]:
        """Yield the places of samples that are the same, in their order."""
        high, low = self._halves()
        order = np.lexsort((low, high))
        new = np.ones(len(order) + 1, dtype=bool)
        new[1:-1] = (high[order][1:] != high[order][:-1]) | (low[order][1:] != low[order][:-1])
        starts = np.flatnonzero(new)
        for start, count in zip(starts[:-1], np.diff(starts), strict=True):
            if count > 1:
                yield cast("list[int]", np.sort(order[start : start + count]).tolist())

    def _arrays(self) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        return np.frombuffer(self._parts, np.int8), np.frombuffer(self._labels, np.int64)

    def _halves(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        halves = np.frombuffer(self._digests, "<u8").reshape(-1, 2)
        return cast("NDArray[np.uint64]", halves[:, 0]), cast("NDArray[np.uint64]", halves[:, 1])


def _number_of(label: Label) -> int:
    """Return what tells a class, or one choice of labels, from another; numbers are told by none.

    Equal values are measured with different numbers, and none of these is wrong.
    """
    if isinstance(label, int):
        return label
    if not is_labelled(label) or any(isinstance(one, float) for one in label):
        return NO_LABEL
    # Below what says that there is none.
    digest = hashlib.blake2b(bytes(map(int, label)), digest_size=7).digest()
    return -2 - int.from_bytes(digest, "little")
