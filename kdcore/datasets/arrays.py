"""Arrays in a NumPy `.npz` file, or in a `.safetensors` file.

Formula
    x_train, y_train, x_test, y_test; bytes are divided by 255, floats taken as they are. Without
    y_train no training sample has a label, and without y_test either no sample at all
Shapes
    x (N, channels, H, W) or (N, D), uint8 or floating; y (N,) integers in [0, C), -1 for "no label"
    (training only, or all of a part); of multi_label (N, C) integers, 0 or 1, rows of -1 for "no
    labels"; of regression (N,) or (N, T) floating, NaN for "not known", taken as they are
Paper
    The first file format is NumPy's. doi:10.1038/s41586-020-2649-2
Source
    numpy.load with pickles refused; huggingface/safetensors, bindings/python (its NumPy reader)
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from kdcore.dataset import Dataset, Samples, Source
from kdcore.errors import DataError
from kdcore.inputs import InputPath
from kdcore.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LABELS: Final = {
    "classification": ("iu", {1}, "one integer a sample"),
    "multi_label": ("iub", {2}, "(samples, labels) of integers"),
    "regression": ("f", {1, 2}, "a floating number a sample, or several,"),
}
KEYS = ("x_train", "y_train", "x_test", "y_test")


class Arrays(Dataset):
    """Images or vectors in one `.npz` or `.safetensors` file."""

    name: Literal["arrays"] = "arrays"
    path: InputPath
    """The `.npz` or `.safetensors` file, relative to the inputs folder."""
    num_classes: Annotated[int, Field(ge=2, le=100_000)] | None = None
    """How many classes there are; where not given, as many as the labels tell."""

    tasks: ClassVar[frozenset[str] | None] = frozenset(
        {"classification", "embedding", "multi_label", "regression"}
    )

    def read(self, inputs: Path) -> Source:
        """Read the four arrays as those of classes."""
        return self.read_for("classification", inputs)

    def read_for(self, task: str, inputs: Path) -> Source:
        """Read the arrays; numpy is loaded here, so that options are read without it."""
        import numpy as np

        arrays = _load(inputs / self.path, self.path, may_lack_labels=task == "classification")
        parts: list[Samples] = []
        for part in ("train", "test"):
            x = arrays[f"x_{part}"]
            y = arrays.get(f"y_{part}", np.full(x.shape[:1], -1))
            if x.dtype.kind not in "fu" or (x.dtype.kind == "u" and x.dtype.itemsize != 1):
                raise DataError(
                    f"{self.path}: x_{part} has type {x.dtype}; uint8 or floating is expected"
                )
            if x.ndim < 2:  # noqa: PLR2004  # a sample is at least a vector
                raise DataError(f"{self.path}: x_{part} has shape {x.shape}; (N, D) is the least")
            kinds, shapes, expected = _LABELS[task]
            if y.dtype.kind not in kinds or y.ndim not in shapes:
                raise DataError(
                    f"{self.path}: y_{part} has type {y.dtype} and shape {y.shape}; "
                    f"{expected} is expected in a task of {task}"
                )
            values = torch.from_numpy(x.astype("float32"))
            if x.dtype.kind == "u":
                values = values / 255
            if task == "regression":
                labels = torch.from_numpy(y.astype("float32")).reshape(len(y), -1)
            else:
                labels = torch.from_numpy(y.astype("int64"))
            parts.append(Samples(values, labels))
        train, test = parts
        if task != "classification":
            return Source(train, test, num_classes=train.labels.shape[1])
        highest = max((int(part.labels.max()) for part in parts if len(part.labels)), default=-1)
        classes = self.num_classes or highest + 1
        if highest >= classes:
            raise DataError(
                f"{self.path}: found the label {highest}; expected labels below data.num_classes, "
                f"{classes}"
            )
        return Source(train, test, num_classes=classes)


def _load(file: Path, shown: str, *, may_lack_labels: bool) -> dict[str, NDArray[np.generic]]:
    load = _load_safetensors if file.suffix.lower() == ".safetensors" else _load_npz
    arrays = load(file, shown)
    needed = KEYS
    if may_lack_labels and "y_train" not in arrays:  # a test part alone without is a slip
        needed = ("x_train", "x_test")
    if missing := [key for key in needed if key not in arrays]:
        raise DataError(
            f"{shown}: no array {', '.join(missing)}; found {', '.join(arrays) or 'none'}",
            hint=f"save all of {', '.join(needed)}, by these names",
        )
    return arrays


def _load_npz(file: Path, shown: str) -> dict[str, NDArray[np.generic]]:
    import numpy as np

    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {key: archive[key] for key in KEYS if key in archive.files}
    except FileNotFoundError:
        raise _no_file(shown) from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{shown}: not a readable .npz file ({error})",
            hint="save arrays of numbers with numpy.savez; pickled objects are refused",
        ) from None


def _load_safetensors(file: Path, shown: str) -> dict[str, NDArray[np.generic]]:
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise _no_file(shown)
    saver = "safetensors.numpy.save_file"
    try:
        opened: Any = safe_open(file, framework="numpy")
        with opened as archive:
            names = set(archive.keys())
            return {key: archive.get_tensor(key) for key in KEYS if key in names}
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError) as error:
        # bfloat16 and float8, which NumPy has not, end here as well.
        raise DataError(
            f"{shown}: not a readable .safetensors file ({error})",
            hint=f"save arrays of types that NumPy has, such as float32, with {saver}",
        ) from None


def _no_file(shown: str) -> DataError:
    return DataError(f"{shown}: no such file in the inputs folder", hint="put the file there")
