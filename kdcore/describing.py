"""The data report: a walk over a data set, before or after anything is trained on it.

>>> from kdcore import describe
>>> report = describe(recipe.data, Path("inputs"))
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final, cast

import torch

from kdcore.census import Census
from kdcore.corpus import Corpus
from kdcore.data_report import DataQuality, DataReport, Duplicates, Note, PartTold
from kdcore.dataset import Dataset, Samples
from kdcore.examine import picture
from kdcore.reading.faults import Fault
from kdcore.reading.labels import NO_LABEL, Label
from kdcore.reading.survey import Seen, Survey
from kdcore.reading.table_rows import survey_of_rows

_DIGEST: Final = 16
_PIECE: Final = 1024
_THUMBNAILS: Final = 4
_UNEVEN: Final = 10
_MANY_COPIES: Final = 0.01
_SHOWN: Final = 5
_WITH_NAMES: Final = frozenset({"classification", "multi_label"})
"""Tasks in which samples are counted by class, or by label."""


def describe(
    spec: Dataset, inputs: Path, *, task: str = "classification", thumbnails: int = _THUMBNAILS
) -> DataReport:
    """Walk over a data set whose files are under `inputs`, and tell what it is like.

    Files are read one by one, and of each sample a digest of what the network is given stays in
    memory. Up to so many `thumbnails` are kept of each class of images.

    Raises:
        DataError: there is nothing to walk over, or it is not what it should be as a whole. What is
            wrong with single samples is in the report.
        ExtraMissingError: a library that reads it is not installed.
    """
    with _surveyed(spec, inputs, task) as survey:
        return _report(spec.name, survey, thumbnails)


def describe_table(path: str, inputs: Path) -> DataReport:
    """Walk over a table of which nobody has told the label yet, and tell its columns.

    Raises:
        DataError: it cannot be read as a whole.
        ExtraMissingError: a library that reads it is not installed.
    """
    return _report("table", survey_of_rows(inputs, path), 0)


def _report(data: str, survey: Survey, thumbnails: int) -> DataReport:
    census = Census(survey.class_names, thumbnails=thumbnails)
    for one in survey.faults:
        census.add(one)
    for one in survey.samples:
        census.add(one)
    told = _told(census)
    faults = census.faults
    unusable = Note(
        code="unusable_samples",
        message=f"{faults.count:,} samples cannot be used, {_named(faults.shown)}",
        hint="a job is refused for them: repair or remove them",
    )
    notes = [unusable] if faults.count else []
    notes += [
        Note(code=one.code, message=one.message, hint=one.hint or "") for one in survey.warnings
    ]
    return DataReport(
        data=data,
        kind=survey.kind,
        fingerprint=census.fingerprint(),
        parts=told.parts,
        num_classes=len(census.counts()["train"]),
        classes=census.classes(),
        imbalance=told.imbalance,
        duplicates=told.duplicates,
        faults=faults,
        sizes=census.sizes,
        image_size=survey.image_size,
        columns=survey.columns,
        notes=[*notes, *told.notes],
    )


def describe_corpus(corpus: Corpus) -> DataQuality:
    """Tell what is worth knowing of data that a run has read already."""
    named = corpus.task.name in _WITH_NAMES
    census = Census(corpus.class_names if named else (), thumbnails=0)
    parts = {"train": corpus.train, "test": corpus.test, "validation": corpus.validation}
    found = {part: samples for part, samples in parts.items() if samples}
    for one in _walk(found, classes=corpus.task.name == "classification"):
        census.add(one)
    return _told(census)


def _surveyed(spec: Dataset, inputs: Path, task: str) -> AbstractContextManager[Survey]:
    """Open a walk; what tells nothing more than numbers is read as for a training."""
    if opened := spec.survey(inputs, task):
        return opened
    source = spec.read_for(task, inputs)
    parts = {"train": source.train, "test": source.test, "validation": source.validation}
    names = source.class_names or tuple(map(str, range(source.num_classes)))
    names = names if task in _WITH_NAMES else ()
    return nullcontext(
        Survey(
            kind="arrays" if source.ids is None else "texts",
            class_names=names,
            samples=_walk(
                {part: samples for part, samples in parts.items() if samples},
                classes=task == "classification",
            ),
            faults=[],
            columns=[],
            warnings=source.warnings,
        )
    )


def _walk(parts: Mapping[str, Samples], *, classes: bool) -> Iterator[Seen | Fault]:
    for part, samples in parts.items():
        labels: list[Label] = [NO_LABEL] * len(samples.labels)
        if classes or samples.labels.dim() > 1:
            own = samples.labels if samples.own is None else samples.own
            labels = cast("list[Label]", own.tolist())
        for start in range(0, len(labels), _PIECE):
            piece = samples.inputs[start : start + _PIECE].contiguous().cpu()
            finite = cast("list[bool]", piece.flatten(1).isfinite().all(1).tolist())
            for place, values in enumerate(piece.numpy()):
                number = start + place
                name = f"sample {number} of the {part} part"
                if not finite[place]:
                    yield Fault(name, "holds NaN or infinity")
                    continue
                digest = hashlib.blake2b(values.tobytes(), digest_size=_DIGEST).digest()
                yield Seen(
                    part,
                    name,
                    labels[number],
                    digest,
                    picture=lambda values=values: picture(torch.from_numpy(values)),
                )


def _told(census: Census) -> DataQuality:
    """Return counts and what is worth knowing of them."""
    counts, parts, duplicates = census.counts(), census.parts(), census.duplicates()
    notes, imbalance = list(_of_copies(duplicates, parts)), None
    if trained := [(int(count), label) for label, count in enumerate(counts["train"]) if count]:
        (fewest, smallest), (most, largest) = min(trained), max(trained)
        imbalance = most / fewest
        if imbalance >= _UNEVEN:
            notes.append(
                Note(
                    code="imbalance",
                    message=f"class {census.name_of(largest)!r} has {most:,} training samples, "
                    f"{imbalance:.0f} times the {fewest:,} of {census.name_of(smallest)!r}",
                    hint="accuracy says little of rare classes: look at each in the job's report",
                )
            )
    for part, count in counts.items():
        empty = [census.name_of(label) for label, number in enumerate(count) if not number]
        # Where a part has no label at all nobody meant any.
        if part != "validation" and 0 < len(empty) < len(count):
            notes.append(
                Note(
                    code=f"classes_without_{part}_samples",
                    message=f"{len(empty)} classes have no labelled sample in the {part} part: "
                    f"{_listed(map(repr, empty))}",
                    hint="of a class that is not tested, nothing is known",
                )
            )
    return DataQuality(parts=parts, imbalance=imbalance, duplicates=duplicates, notes=notes)


def _of_copies(duplicates: Duplicates, parts: Mapping[str, PartTold]) -> Iterator[Note]:
    for pair, count in duplicates.across.items():
        first, _, second = pair.partition(" in ")
        yield Note(
            code="copies_across_parts",
            message=f"{count:,} of {parts[first].samples:,} {first} samples are in the {second} "
            "part as well, value for value",
            hint="what is measured on them is memory: leave them out of one of the parts",
        )
    if duplicates.conflicting:
        yield Note(
            code="conflicting_labels",
            message=f"{duplicates.conflicting:,} samples have copies that are labelled otherwise",
            hint="at most one of them is right: look at them, and mend the labels",
        )
    for part, count in duplicates.within.items():
        if count >= _MANY_COPIES * parts[part].samples:
            yield Note(
                code="copies_within_a_part",
                message=f"{count:,} of {parts[part].samples:,} {part} samples stand in the {part} "
                "part already",
                hint="copies count more than once; leave them out unless that is meant",
            )


def _named(faults: Iterable[object]) -> str:
    shown = [getattr(one, "name", "") for one in faults]
    return f"among them {_listed(map(repr, shown))}"


def _listed(names: Iterable[str]) -> str:
    told = list(names)
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return ", ".join(told[:_SHOWN]) + more
