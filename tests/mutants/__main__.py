"""`python -m mutants`: try each mutant and tell which tests caught it."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from mutants.catalogue import MUTANTS, Mutant
from mutants.trial import copy_house, is_caught


def main() -> int:
    """Try the mutants asked for; return 1 where one survived."""
    parser = argparse.ArgumentParser(prog="python -m mutants", description=__doc__)
    parser.add_argument("--only", action="append", help="a mutant by its name; may be repeated")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    asked = parser.parse_args()
    chosen = [one for one in MUTANTS if not asked.only or one.name in asked.only]
    survivors: list[str] = []
    rows = ["| mutant | what goes wrong then | caught by |", "| --- | --- | --- |"]
    with tempfile.TemporaryDirectory(prefix="stillhouse-mutants-") as folder:
        house = copy_house(Path(folder))
        for mutant in chosen:
            began = time.monotonic()
            caught = is_caught(mutant, house)
            survivors += [] if caught else [mutant.name]
            rows.append(row_of(mutant, caught=caught))
            word = "caught" if caught else "SURVIVED"
            print(f"{word:8} {mutant.name} ({time.monotonic() - began:.0f} s)", flush=True)
    if asked.markdown:
        asked.markdown.write_text("\n".join(rows) + "\n")
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} were caught")
    return int(bool(survivors))


def row_of(mutant: Mutant, *, caught: bool) -> str:
    """Return the line of a table that tells of a mutant."""
    where = ", ".join(f"`{test.removeprefix('tests/')}`" for test in mutant.tests)
    return f"| {mutant.name} | {mutant.means} | {where if caught else '**nobody**'} |"


if __name__ == "__main__":
    sys.exit(main())
