"""Writes digit_properties.npz and diabetes.csv: data of scikit-learn, for other tasks.

    python examples/tasks.py stillhouse-data/inputs

Of each digit: is it odd, 5 or larger, a prime, drawn with a loop. Two thirds of the training images
come without labels. Of each patient: how far the disease has gone a year later.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
from sklearn.datasets import (  # pyright: ignore[reportMissingTypeStubs]
    load_diabetes,  # pyright: ignore[reportUnknownVariableType]
    load_digits,  # pyright: ignore[reportUnknownVariableType]
)

TEST_FROM = 1297
PROPERTIES = ((1, 3, 5, 7, 9), (5, 6, 7, 8, 9), (2, 3, 5, 7), (0, 6, 8, 9))


def main(folder: Path) -> None:
    """Write both files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = cast("Any", load_digits())
    images = (digits.images / 16).astype(np.float32)[:, None]
    labels = np.stack([np.isin(digits.target, which) for which in PROPERTIES], 1).astype(np.int64)
    train, test = slice(0, TEST_FROM), slice(TEST_FROM, None)
    hidden = labels[train].copy()
    hidden[np.arange(TEST_FROM) % 3 > 0] = -1
    np.savez(
        folder / "digit_properties.npz",
        x_train=images[train],
        y_train=hidden,
        x_test=images[test],
        y_test=labels[test],
    )
    diabetes = cast("Any", load_diabetes(scaled=False))
    with (folder / "diabetes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow([*diabetes.feature_names, "progression"])
        rows.writerows(
            [*row, target] for row, target in zip(diabetes.data, diabetes.target, strict=True)
        )
    sys.stdout.write(f"{folder / 'digit_properties.npz'}\n{folder / 'diabetes.csv'}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
