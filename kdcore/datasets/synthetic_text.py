"""Texts of made-up words; made on the spot, and as hard as one likes.

Formula
    a text is the id 1 and then words; a word is one of its class's own with probability `signal`,
    else any; the words of class c are the ids 2 + c, 2 + c + C, 2 + c + 2C and so on, and 0 is
    behind a text's end
Shapes
    ids (L), int64 in [0, vocabulary); texts have L / 2 to L ids; labels in turn, so classes are
    even in both parts
Paper
    A mixture of unigrams, section 5.1 there: Blei, Ng, Jordan. Latent Dirichlet Allocation. JMLR 3,
    2003. doi:10.5555/944919.944937
Source
    The formula itself
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from kdcore.dataset import Dataset, Samples, Source
from kdcore.lazy import torch
from kdcore.tokens import Ids

if TYPE_CHECKING:
    from torch import Generator

_MAX_NUMBERS = 100_000_000
_FIRST_WORD = 2

Size = Annotated[int, Field(ge=2, le=1_000_000)]


class SyntheticText(Dataset):
    """Texts whose words hint at their class."""

    name: Literal["synthetic_text"] = "synthetic_text"
    length: Annotated[int, Field(ge=2, le=4096)] = 16
    """Ids of the longest text, L."""
    vocabulary: Annotated[int, Field(ge=4, le=1_000_000)] = 64
    """How many ids there are, with 0 and 1, which are no words."""
    num_classes: Annotated[int, Field(ge=2, le=100_000)] = 4
    """Number of classes C."""
    train_size: Size = 512
    """Training samples."""
    test_size: Size = 256
    """Test samples."""
    signal: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Share of the words that are the class's own for sure."""
    data_seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Seed of the words; the job's own seeds leave the data as they are."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        numbers = (self.train_size + self.test_size) * self.length
        if numbers > _MAX_NUMBERS:
            raise PydanticCustomError(
                "too_large",
                "found {numbers} ids in all; expected at most {limit}",
                {"numbers": numbers, "limit": _MAX_NUMBERS},
            )
        if self.vocabulary < self.num_classes + _FIRST_WORD:
            raise PydanticCustomError(
                "too_few_words",
                "found a vocabulary of {found} ids for {classes} classes; expected {needed} or "
                "more, a word for each",
                {
                    "found": self.vocabulary,
                    "classes": self.num_classes,
                    "needed": self.num_classes + _FIRST_WORD,
                },
            )
        if self.augmentation.changes:
            raise PydanticCustomError(
                "no_images",
                "found changes of images in data.augmentation, and texts; expected none",
            )
        return self

    def form(self) -> tuple[tuple[int, ...], int]:
        """Return what the options say."""
        return Ids(self.length, vocabulary=self.vocabulary, pad=0), self.num_classes

    def train_samples(self) -> int:
        """Return what the options say."""
        return self.train_size

    def read(self, inputs: Path) -> Source:
        """Draw the words."""
        draw = torch.Generator().manual_seed(self.data_seed)
        train, test = (self._drawn(size, draw) for size in (self.train_size, self.test_size))
        ids = Ids(self.length, vocabulary=self.vocabulary, pad=0)
        return Source(train, test, num_classes=self.num_classes, ids=ids)

    def _drawn(self, size: int, draw: Generator) -> Samples:
        labels = torch.arange(size) % self.num_classes
        form = (size, self.length)
        words = self.vocabulary - _FIRST_WORD
        any_word = torch.randint(words, form, generator=draw)
        own_count = (words - labels - 1) // self.num_classes + 1  # (N,)
        place = (torch.rand(form, generator=draw) * own_count[:, None]).long()
        own_word = labels[:, None] + self.num_classes * place
        hints = torch.rand(form, generator=draw) < self.signal
        ids = torch.where(hints, own_word, any_word) + _FIRST_WORD
        ids[:, 0] = 1
        lengths = torch.randint(self.length // 2, self.length + 1, (size, 1), generator=draw)
        ids[torch.arange(self.length) >= lengths.clamp(min=2)] = 0
        return Samples(ids, labels)
