"""Synthetic classes: Gaussian clouds around random centres, for trials and tests.

Formula
    x = centre_y + noise * e, with centres and e standard normal
Shapes
    (*shape); balanced classes
Paper
    The isotropic clouds of Guyon, Design of experiments of the NIPS 2003 variable selection
    benchmark
Source
    scikit-learn, sklearn/datasets/_samples_generator.py (make_blobs) has the same model
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.dataset import Dataset, Samples, Source
from kdcore.lazy import torch

_MAX_NUMBERS = 2**28
Size = Annotated[int, Field(ge=1, le=10_000_000)]


class Synthetic(Dataset):
    """Gaussian clouds, one a class."""

    name: Literal["synthetic"] = "synthetic"
    shape: Annotated[
        list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=1, max_length=3)
    ] = [16]
    """Shape of one sample: [D] or [channels, height, width]."""
    num_classes: Annotated[int, Field(ge=2, le=100_000)] = 4
    """Number of classes C."""
    train_size: Size = 512
    """Training samples."""
    test_size: Size = 256
    """Test samples."""
    noise: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Standard deviation around the centres, which lie about sqrt(2 D) apart."""
    data_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of centres and noise; the job's own seeds leave the data as they are."""

    @model_validator(mode="after")
    def _fits_into_memory(self) -> Self:
        numbers = (self.train_size + self.test_size + self.num_classes) * math.prod(self.shape)
        if numbers > _MAX_NUMBERS:
            raise PydanticCustomError(
                "too_large",
                "found {numbers} numbers in all; expected at most {limit}",
                {"numbers": numbers, "limit": _MAX_NUMBERS},
            )
        return self

    def form(self) -> tuple[tuple[int, ...], int]:
        """Return what the options say."""
        return tuple(self.shape), self.num_classes

    def train_samples(self) -> int:
        """Return what the options say."""
        return self.train_size

    def read(self, inputs: Path) -> Source:
        """Draw the clouds."""
        draw = torch.Generator().manual_seed(self.data_seed)
        centres = torch.randn(self.num_classes, *self.shape, generator=draw)
        parts: list[Samples] = []
        for size in (self.train_size, self.test_size):
            labels = torch.arange(size) % self.num_classes
            noise = torch.randn(size, *self.shape, generator=draw)
            parts.append(Samples(centres[labels] + self.noise * noise, labels))
        return Source(*parts, num_classes=self.num_classes)
