"""The highest memory of one whole job, each in a process of its own.

    python benchmarks/memory.py [--pair small|big] [--samples 1024] [--repeats 3] [--json FILE]

Resident memory at its highest, over what the process takes once everything is imported: the data,
both networks, gradients, optimiser. The plain loop asks the teacher in every step, in float32; ours
does, keeps its answers and then learns from them, or finds them kept. Linux only.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
from stand.photographs import write_photographs
from stand.telling import Table, asked, ratio, spread, write
from stand.turns import take_turns
from stand.whole import PAIRS, our_job, plain_job, recipe_of, write_teacher

from kdcore.teacher_cache.shelf import Shelf

KINDS: Final = {
    "plain loop": "plain",
    "ours, live": "never",
    "ours, answers written": "written",
    "ours, answers found": "found",
}
_SELF: Final = Path("/proc/self")


def resident(which: str) -> float:
    """Return this process's resident memory in MB: `VmRSS` now, `VmHWM` at its highest."""
    found = re.search(rf"{which}:\s+(\d+) kB", (_SELF / "status").read_text())
    assert found is not None  # noqa: S101  # every Linux tells
    return int(found[1]) / 1024


def run_one(kind: str, pair: str, inputs: Path, work: Path) -> None:
    """Run a job in this process, and print its highest memory over what stood before, in MB."""
    torch.set_num_threads(1)
    torch.randn(8, 8).requires_grad_().matmul(torch.randn(8, 8)).sum().backward()
    (_SELF / "clear_refs").write_text("5")  # the highest so far is forgotten
    before = resident("VmRSS")
    if kind == "plain":
        plain_job(recipe_of(pair, epochs=1), inputs, work / "run")
    else:
        use = "never" if kind == "never" else "always"
        shelf = Shelf(inputs / "shelf" if kind == "found" else work / "shelf")
        our_job(recipe_of(pair, epochs=1, use=use), inputs, work / "run", shelf)
    print(resident("VmHWM") - before)


def apart(kind: str, pair: str, inputs: Path) -> float:
    """Return the MB of a job in a process of its own."""
    with tempfile.TemporaryDirectory(dir=inputs) as work:
        words = [__file__, "--one", kind, "--pair", pair, "--inputs", str(inputs), "--work", work]
        told = subprocess.run(  # noqa: S603  # ourselves
            [sys.executable, *words], check=True, capture_output=True, text=True
        )
    return float(told.stdout)


def main() -> None:
    """Measure, print a table, and write the numbers where they are asked for."""
    parser = asked(__doc__, repeats=3)
    parser.add_argument("--pair", choices=list(PAIRS), action="append")
    parser.add_argument("--samples", type=int, default=1024)
    for name in ("one", "inputs", "work"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        where = Path(arguments.inputs), Path(arguments.work)
        run_one(arguments.one, arguments.pair[0], *where)
        return
    results: dict[str, Any] = {"torch": torch.__version__, "samples": arguments.samples}
    table = Table("pair", "job", "MB", "plain loop / this", numbers=["MB"])
    for pair in arguments.pair or list(PAIRS):
        with tempfile.TemporaryDirectory() as folder:
            inputs = Path(folder)
            write_photographs(inputs, arguments.samples)
            write_teacher(pair, inputs)
            shelf = Shelf(inputs / "shelf")
            our_job(recipe_of(pair, epochs=1, use="always"), inputs, inputs / "first", shelf)
            turns = {name: partial(apart, kind, pair, inputs) for name, kind in KINDS.items()}
            taken = take_turns(turns, arguments.repeats)
        for name, megabytes in taken.items():
            less = ratio(taken["plain loop"], megabytes)
            table.add(pair, name, spread(megabytes, 0), less)
        results[pair] = taken
    write(arguments.json, results)


if __name__ == "__main__":
    main()
