"""Arrays in a NumPy `.npz` file.

Formula
    x_train, y_train, x_test, y_test; bytes are divided by 255, floats taken as they are
Shapes
    x (N, channels, H, W) or (N, D), uint8 or floating; y (N,) integers in [0, C), -1 for "no label"
    (training only)
Paper
    The file format is NumPy's. doi:10.1038/s41586-020-2649-2
Source
    numpy.load with pickles refused
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from kdcore.dataset import Dataset, Samples, Source
from kdcore.errors import DataError
from kdcore.inputs import InputPath
from kdcore.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEYS = ("x_train", "y_train", "x_test", "y_test")


class Arrays(Dataset):
    """Images or vectors in one `.npz` file."""

    name: Literal["arrays"] = "arrays"
    path: InputPath
    """The `.npz` file, relative to the inputs folder."""

    def read(self, inputs: Path) -> Source:
        """Read the four arrays."""
        arrays = _load(inputs / self.path, self.path)
        parts: list[Samples] = []
        for part in ("train", "test"):
            x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
            if x.dtype.kind not in "fu" or (x.dtype.kind == "u" and x.dtype.itemsize != 1):
                raise DataError(
                    f"{self.path}: x_{part} has type {x.dtype}; uint8 or floating is expected"
                )
            if x.ndim < 2:  # noqa: PLR2004  # a sample is at least a vector
                raise DataError(f"{self.path}: x_{part} has shape {x.shape}; (N, D) is the least")
            if y.dtype.kind not in "iu" or y.ndim != 1:
                raise DataError(
                    f"{self.path}: y_{part} has type {y.dtype} and shape {y.shape}; "
                    "one integer a sample is expected"
                )
            values = torch.from_numpy(x.astype("float32"))
            if x.dtype.kind == "u":
                values = values / 255
            labels = torch.from_numpy(y.astype("int64"))
            parts.append(Samples(values, labels))
        train, test = parts
        classes = max((int(part.labels.max()) for part in parts if len(part.labels)), default=-1)
        return Source(train, test, num_classes=classes + 1)


def _load(file: Path, shown: str) -> dict[str, NDArray[np.generic]]:
    import numpy as np

    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            names = [str(name) for name in archive.files]
            if missing := [key for key in KEYS if key not in names]:
                raise DataError(
                    f"{shown}: no array {', '.join(missing)}; found {', '.join(names) or 'none'}",
                    hint=f"save all of {', '.join(KEYS)} with numpy.savez",
                )
            return {key: archive[key] for key in KEYS}
    except FileNotFoundError:
        raise DataError(
            f"{shown}: no such file in the inputs folder", hint="put the .npz file there"
        ) from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{shown}: not a readable .npz file ({error})",
            hint="save arrays of numbers with numpy.savez; pickled objects are refused",
        ) from None
