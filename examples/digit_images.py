"""Writes digit_images.zip: scikit-learn's digits as PNG files, a folder for each class.

    python examples/digit_images.py stillhouse-data/inputs

Two thirds of the training images come without a label, so that there is something to distil.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image
from sklearn.datasets import (  # pyright: ignore[reportMissingTypeStubs]
    load_digits,  # pyright: ignore[reportUnknownVariableType]
)

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_FROM = 1297


def main(folder: Path) -> None:
    """Write the archive into `folder`."""
    bunch = cast("Any", load_digits())
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "digit_images.zip", "w") as archive:
        for place, (pixels, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
            part = "train" if place < TEST_FROM else "test"
            kind = "unlabelled" if part == "train" and place % 3 else NAMES[label]
            stream = io.BytesIO()
            Image.fromarray((pixels * 15.9375).astype(np.uint8)).save(stream, "PNG")
            archive.writestr(f"{part}/{kind}/{place:04}.png", stream.getvalue())
    sys.stdout.write(f"{folder / 'digit_images.zip'}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "stillhouse-data/inputs"))
