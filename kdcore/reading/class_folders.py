"""Folders of classes: which file is a sample of which part, and of which class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kdcore.errors import DataError
from kdcore.reading.collection import drawn
from kdcore.reading.labels import NO_LABEL

PARTS: Final = {"train": "train", "test": "test", "val": "validation", "validation": "validation"}
UNLABELLED: Final = "unlabelled"
_SHOWN: Final = 5
_CLASS_DEPTH: Final = 2
_EXPECTED: Final = (
    "one folder for each class, with its images in it; either at the top, or inside train/ and "
    "test/ (val/ may be there as well)"
)


@dataclass(frozen=True, slots=True)
class ClassFolders:
    """The samples of each part: name of the file, and label."""

    class_names: tuple[str, ...]
    parts: Mapping[str, list[tuple[str, int]]]
    """`train`, `test`, and `validation` where there is one."""
    ignored: list[str] = field(default_factory=list[str])
    """Files beside the folders of classes."""


def sort_out(names: Iterable[str], shown: str, *, share: float, seed: int) -> ClassFolders:
    """Sort files, named with `/` between folders, into parts and classes.

    A folder around everything is passed over. What is in folders of a class's folder is the
    class's. Without `train/` and `test/`, a `share` of each class is drawn by `seed` for testing.

    Raises:
        DataError: the folders are not as expected.
    """
    split = [name.split("/") for name in sorted(names)]
    depth = _wrapping(split)
    tops = {parts[depth] for parts in split if len(parts) > depth + 1}
    if not tops:
        seen = f"{len(split)} files and no folder" if split else "nothing"
        raise DataError(f"{shown}: found {seen}; expected {_EXPECTED}")
    if not _is_in_parts(tops, shown):
        return _drawn(split, depth, shown, share, seed)
    if extra := sorted(top for top in tops if top.casefold() not in {*PARTS, UNLABELLED}):
        raise DataError(
            f"{shown}: found the folders {_listed(extra)} beside train and test; expected no other "
            "folder than val and unlabelled there",
            hint="move them into train/, or out of the data",
        )
    if {"val", "validation"} <= {top.casefold() for top in tops}:
        raise DataError(
            f"{shown}: found val/ and validation/; expected one of the two",
            hint="put all of them into one folder",
        )
    ignored: list[str] = []
    found: dict[str, list[tuple[str, str]]] = {}
    for parts in split:
        top, below = parts[depth].casefold(), len(parts) - depth - 1
        if top == UNLABELLED and below:
            found.setdefault("train", []).append((UNLABELLED, "/".join(parts)))
        elif below < _CLASS_DEPTH:
            ignored.append("/".join(parts))
        else:
            found.setdefault(PARTS[top], []).append((parts[depth + 1], "/".join(parts)))
    return _labelled(found, ignored, shown)


def _is_in_parts(tops: set[str], shown: str) -> bool:
    """Return whether the folders are parts; one class may be called train, and another test."""
    known = {top.casefold() for top in tops}
    if {"train", "test"} <= known or {UNLABELLED, "test"} <= known <= {*PARTS, UNLABELLED}:
        return True
    if known <= {*PARTS, UNLABELLED} and "train" in known:
        raise DataError(
            f"{shown}: found {_listed(sorted(tops))}, and no test; expected {_EXPECTED}",
            hint="rename val/ to test/, or put the classes at the top: a part is drawn for testing",
        )
    return False


def _drawn(split: list[list[str]], depth: int, shown: str, share: float, seed: int) -> ClassFolders:
    """Return one tree of classes, a part of it drawn for testing."""
    ignored = ["/".join(parts) for parts in split if len(parts) == depth + 1]
    samples = [(parts[depth], "/".join(parts)) for parts in split if len(parts) > depth + 1]
    whole = _labelled({"train": samples, "test": []}, ignored, shown)
    files = whole.parts["train"]
    # By the name inside the tree: a folder around it changes nothing.
    keys = ["/".join(name.split("/")[depth:]) for name, _ in files]
    return ClassFolders(whole.class_names, drawn(files, keys, share, seed), ignored)


def _labelled(
    found: Mapping[str, list[tuple[str, str]]], ignored: list[str], shown: str
) -> ClassFolders:
    """Number the classes, which the training part tells, or the test part where it has none."""
    classes = sorted({name for name, _ in found.get("train", [])} - {UNLABELLED})
    classes = classes or sorted({name for name, _ in found.get("test", [])} - {UNLABELLED})
    labels = {name: number for number, name in enumerate(classes)}
    for part, files in found.items():
        found_here = {name for name, _ in files}
        unknown = sorted(found_here - set(labels)) if found_here != {UNLABELLED} else []
        if part != "train" and unknown:
            raise DataError(
                f"{shown}: the {part} part has the classes {_listed(unknown)}, which the training "
                "part has not",
                hint="give the folders of all parts the same names",
            )
    labels[UNLABELLED] = NO_LABEL
    parts = {part: [(file, labels[name]) for name, file in found[part]] for part in found}
    return ClassFolders(tuple(classes), parts, ignored)


def _wrapping(split: list[list[str]]) -> int:
    """Return how many folders stand around everything, as where a folder was packed whole."""
    depth = 0
    while (
        len({parts[depth] for parts in split}) == 1
        and all(len(parts) > depth + _CLASS_DEPTH for parts in split)
        and split[0][depth].casefold() not in {*PARTS, UNLABELLED}
    ):
        depth += 1
    return depth


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(repr(name) for name in names[:_SHOWN]) + more
