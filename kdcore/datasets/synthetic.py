"""Synthetic classes: Gaussian clouds around random centres, for trials and tests.

Formula
    x = centre_y + noise * e, with centres and e standard normal
    multi_label: x = sum over its labels of their centres + noise * e, each label given by a coin
    regression: x standard normal, y_c = <centre_c, x> / sqrt(D) + noise * e
Shapes
    (*shape); balanced classes, C labels or C numbers
Paper
    The isotropic clouds of Guyon, Design of experiments of the NIPS 2003 variable selection
    benchmark
Source
    scikit-learn, sklearn/datasets/_samples_generator.py (make_blobs) has the same model
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.dataset import Dataset, Samples, Source
from kdcore.lazy import torch

_MAX_NUMBERS = 2**28
Size = Annotated[int, Field(ge=1, le=10_000_000)]


class Synthetic(Dataset):
    """Gaussian clouds, one a class; or as many labels, or numbers."""

    name: Literal["synthetic"] = "synthetic"
    shape: Annotated[
        list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=1, max_length=3)
    ] = [16]
    """Shape of one sample: [D] or [channels, height, width]."""
    num_classes: Annotated[int, Field(ge=2, le=100_000)] = 4
    """Number C of classes, of labels, or of numbers to tell."""
    train_size: Size = 512
    """Training samples."""
    test_size: Size = 256
    """Test samples."""
    noise: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Standard deviation around the centres, which lie about sqrt(2 D) apart; of numbers, around
    what the sample tells."""
    data_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of centres and noise; the job's own seeds leave the data as they are."""

    tasks: ClassVar[frozenset[str] | None] = frozenset(
        {"classification", "embedding", "multi_label", "regression"}
    )

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
        """Draw the clouds, one a class."""
        return self.read_for("classification", inputs)

    def read_for(self, task: str, inputs: Path) -> Source:
        """Draw the samples and what they are labelled with."""
        draw = torch.Generator().manual_seed(self.data_seed)
        centres = torch.randn(self.num_classes, *self.shape, generator=draw)
        parts: list[Samples] = []
        for size in (self.train_size, self.test_size):
            labels = torch.arange(size) % self.num_classes
            noise = torch.randn(size, *self.shape, generator=draw)
            if task == "multi_label":
                labels = torch.randint(2, (size, self.num_classes), generator=draw)
                middles = (labels.float() @ centres.flatten(1)).view_as(noise)
                parts.append(Samples(middles + self.noise * noise, labels))
            elif task == "regression":
                told = noise.flatten(1) @ centres.flatten(1).T / math.sqrt(math.prod(self.shape))
                error = torch.randn(size, self.num_classes, generator=draw)
                parts.append(Samples(noise, told + self.noise * error))
            else:
                parts.append(Samples(centres[labels] + self.noise * noise, labels))
        return Source(*parts, num_classes=self.num_classes)
