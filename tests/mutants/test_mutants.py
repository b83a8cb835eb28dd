"""Each guard is missed by a test when it is taken away."""

from pathlib import Path

import pytest

from mutants.catalogue import MUTANTS, Mutant
from mutants.trial import copy_house, is_caught, places

by_name = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a copy of the house that may be broken."""
    return copy_house(tmp_path_factory.mktemp("house"))


@by_name
def test_a_mutant_fits_the_sources_as_they_are(mutant: Mutant) -> None:
    assert len(places(mutant)) == len(mutant.changes)


@pytest.mark.slow
@by_name
def test_a_guard_that_is_taken_away_is_missed(mutant: Mutant, house: Path) -> None:
    assert is_caught(mutant, house), f"nothing failed although {mutant.means}"
