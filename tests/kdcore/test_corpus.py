"""What an entry reads becomes the data of a run: checked, split, and with all that goes with it."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from recipes import tiny

from kdcore.corpus import Corpus, load_corpus
from kdcore.dataset import Dataset, Samples, Source
from kdcore.errors import DataError, RecipeError
from kdcore.events import Warned
from kdcore.sense import check_without_validation

WARNED = Warned(code="odd", message="this is odd")


def samples(labels: list[int], *, start: int = 0, width: int = 2) -> Samples:
    inputs = torch.arange(len(labels) * width, dtype=torch.float32).view(-1, width) + start
    return Samples(inputs, torch.tensor(labels))


class Own(Dataset):
    """Data with a validation part of its own."""

    name: Literal["own"] = "own"
    held: tuple[int, ...] = (1, 0, 1)
    width: int = 2

    def read(self, inputs: Path) -> Source:  # noqa: ARG002  # the contract
        """Make it up."""
        return Source(
            train=samples([0, 1, 0, 1, -1]),
            test=samples([1, 0], start=50),
            num_classes=2,
            validation=samples(list(self.held), start=90, width=self.width),
            class_names=("cat", "dog"),
            preprocessing={"kind": "none"},
            warnings=(WARNED,),
        )


def load(spec: Dataset) -> Corpus:
    return load_corpus(spec, Path(), torch.device("cpu"))


def test_a_validation_part_of_the_data_is_used_as_it_is():
    corpus = load(Own())
    assert len(corpus.train.labels) == 5
    assert corpus.validation is not None
    assert corpus.validation.labels.tolist() == [1, 0, 1]
    assert corpus.class_names == ("cat", "dog")
    assert corpus.preprocessing == {"kind": "none"}
    assert corpus.warnings == (WARNED,)
    assert load(Own()).fingerprint == corpus.fingerprint
    assert load(Own(held=(1, 1, 1))).fingerprint != corpus.fingerprint


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Own(validation_size=2), "found a validation part of 3 samples and data.validation_size 2"),
        (Own(held=(1, -1)), "the validation part has the label -1"),
        (Own(held=()), "the validation part has no samples"),
        (Own(width=3), r"training samples have shape \(2,\), validation samples \(3,\)"),
    ],
)
def test_a_validation_part_that_does_not_fit_is_refused(spec, words):
    with pytest.raises(DataError, match=words):
        load(spec)


def test_what_needs_validation_samples_is_refused_once_the_data_is_known_to_have_none():
    check_without_validation(tiny())
    recipe = tiny(training={"load_best_model_at_end": True})
    with pytest.raises(RecipeError, match="no validation samples"):
        check_without_validation(recipe)
