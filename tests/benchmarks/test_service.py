"""The benchmarks of the service run at all, on sizes that measure nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from benched import told

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "words", "says"),
    [
        ("dashboard", "--points 8000", "| points | ready, ms | answered, ms | drawn, ms |"),
        ("watchers", "--watchers 3 --seconds 1 --steps 20", "for 3 open pages"),
        ("ledger", "--database sqlite --jobs 50 --points 4000", "| sqlite, ms | 50 jobs |"),
        ("api", "--seconds 1", "requests/s"),
    ],
)
def test_it_runs_and_tells_what_it_measured(
    tmp_path: Path, name: str, words: str, says: str
) -> None:
    shown, kept = told(tmp_path, name, *words.split())
    assert says in shown
    assert kept
