"""Handwritten digits: 1,797 real 8x8 images that scikit-learn carries along.

Formula
    1,297 training and 500 test images by one fixed shuffle; pixels divided by 16
Shapes
    (1, 8, 8) in [0, 1]; 10 classes
Paper
    Alpaydin, Kaynak. Optical Recognition of Handwritten Digits. UCI Machine Learning Repository,
    1998. doi:10.24432/C50P49
Source
    scikit-learn, sklearn/datasets/data/digits.csv.gz (the UCI test set)
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from kdcore.dataset import Dataset, Samples, Source
from kdcore.lazy import torch

SPLIT_SEED = 1797
TEST_SIZE = 500


class Digits(Dataset):
    """8x8 images of handwritten digits."""

    name: Literal["digits"] = "digits"

    def form(self) -> tuple[tuple[int, ...], int]:
        """Return (1, 8, 8) and 10."""
        return (1, 8, 8), 10

    def train_samples(self) -> int:
        """Return 1,297."""
        return 1_297

    def read(self, inputs: Path) -> Source:
        """Read the images out of scikit-learn."""
        bunch = _bunch()
        images = torch.tensor(bunch.images, dtype=torch.float32).unsqueeze(1) / 16  # (N, 1, 8, 8)
        labels = torch.tensor(bunch.target, dtype=torch.int64)
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
        test, train = order[:TEST_SIZE], order[TEST_SIZE:]
        return Source(
            train=Samples(images[train], labels[train]),
            test=Samples(images[test], labels[test]),
            num_classes=10,
        )


@cache
def _bunch() -> Any:
    """Unpack scikit-learn's file, once a process: it takes longer than all else before a step."""
    from sklearn.datasets import (  # pyright: ignore[reportMissingTypeStubs]
        load_digits,  # pyright: ignore[reportUnknownVariableType]
    )

    return cast("Any", load_digits())
