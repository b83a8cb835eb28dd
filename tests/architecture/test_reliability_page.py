"""The page about reliability names tests that exist, and every mutant."""

import re
from pathlib import Path

from mutants.__main__ import row_of
from mutants.catalogue import MUTANTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text()


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`(?:tests/)?(\w+/test_\w+\.py)", PAGE))
    assert named, "the page names its tests"
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).is_file()] == []


def test_the_page_tells_of_every_mutant() -> None:
    assert [mutant.name for mutant in MUTANTS if row_of(mutant, caught=True) not in PAGE] == []
