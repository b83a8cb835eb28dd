"""CIFAR-100's shapes without its pictures: noise in the binary version's own files.

Convolutions take as long over noise as over pictures, and nothing has to be downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kdcore.datasets.cifar100 import LAYOUT

CLASSES: Final = 100
_COARSE: Final = 20
_TEST_RECORDS: Final = 100


@dataclass(frozen=True, slots=True)
class Photographs:
    """The training part as other toolkits hold it; ours reads the files."""

    images: NDArray[np.uint8]
    """`(N, 32, 32, 3)`."""
    labels: list[int]
    """Equally many of each class where N is a multiple of 100, as in CIFAR-100."""


def write_photographs(folder: Path, count: int) -> Photographs:
    """Write `count` training records, and a few for testing, where `data: cifar100` looks."""
    draw = np.random.default_rng(0)
    (folder / LAYOUT.folder).mkdir(parents=True)
    for name, records in ((LAYOUT.test, _TEST_RECORDS), (LAYOUT.train[0], count)):
        content = draw.integers(0, 256, (records, LAYOUT.record), np.uint8)
        content[:, 1] = draw.permutation(np.arange(records) % CLASSES)
        content[:, 0] = content[:, 1] % _COARSE
        content.tofile(folder / LAYOUT.folder / name)
    planes = content[:, 2:].reshape(count, 3, 32, 32)
    labels: list[int] = content[:, 1].tolist()
    return Photographs(np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels)
