"""How a benchmark tells what it measured: a Markdown table on the screen, all numbers in a file."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def asked(doc: str | None, repeats: int) -> argparse.ArgumentParser:
    """Return a parser that knows `--repeats` and `--json`; `doc` begins with what it is."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--json", type=Path, metavar="FILE", help="where every number is written")
    return parser


class Table:
    """A Markdown table whose rows are printed as soon as they are known."""

    def __init__(self, *columns: str, numbers: Sequence[str] = ()) -> None:
        """Print the head; columns that `numbers` names are set to the right."""
        self._row(columns)
        self._row(["---:" if column in numbers else "---" for column in columns])

    def add(self, *cells: object) -> None:
        """Print a row."""
        self._row([str(cell) for cell in cells])

    def _row(self, cells: Sequence[str]) -> None:
        print(f"| {' | '.join(cells)} |", flush=True)


def ratio(theirs: Sequence[float], mine: Sequence[float]) -> str:
    """Return theirs / mine, turn by turn: the median, and the whole range."""
    return spread([their / my for their, my in zip(theirs, mine, strict=True)])


def spread(numbers: Sequence[float], digits: int = 2) -> str:
    """Return the median of numbers, and their whole range."""
    middle = f"{statistics.median(numbers):,.{digits}f}"
    if len(numbers) == 1:
        return middle
    return f"{middle} [{min(numbers):,.{digits}f}..{max(numbers):,.{digits}f}]"


def write(file: Path | None, results: dict[str, Any]) -> None:
    """Write all numbers where they are asked for."""
    if file:
        file.write_text(json.dumps(results, indent=2) + "\n")
