"""Which samples are kept for testing, where the data does not say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from kdcore.errors import DataError


def stratified(keys: Sequence[str], labels: Sequence[int], share: float, seed: int) -> list[bool]:
    """Return for each sample whether it is for testing: a `share` of each class, one or more.

    Samples of a class are ordered by a hash of seed and key, so that those that come in later move
    few of the others, and equal data is split alike on every machine. Negative labels are none, and
    stay for training, unless all are: then a share of all is drawn.

    Raises:
        DataError: a class has one sample, which cannot be in both parts.
    """
    classes: dict[int, list[int]] = {}
    for place, label in enumerate(labels if max(labels, default=0) >= 0 else [0] * len(labels)):
        if label >= 0:
            classes.setdefault(label, []).append(place)
    tested = [False] * len(labels)
    for label, members in sorted(classes.items()):
        if len(members) == 1:
            raise DataError(
                f"found one sample of class {label}, {keys[members[0]]!r}; a split by chance needs "
                "two or more of each class",
                hint="add samples, leave the class out, or bring a test part of your own",
            )
        members.sort(key=lambda place: _draw(seed, keys[place]))
        for place in members[: min(max(round(share * len(members)), 1), len(members) - 1)]:
            tested[place] = True
    return tested


def _draw(seed: int, key: str) -> bytes:
    return hashlib.sha256(f"{seed}/{key}".encode(errors="surrogateescape")).digest()
