"""`python -m benchmarks.results`: run every method on a recipe, and write the page."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from rich.console import Console

from benchmarks.results.asked import Task, read_tasks
from benchmarks.results.board import Board
from benchmarks.results.house import BusyError, House, claimed
from benchmarks.results.kept import Result, source_digest
from benchmarks.results.page import Story, page
from benchmarks.results.rows import Facts, read_facts
from kdcore.catalog import METHODS
from kdcore.errors import KdcoreError
from kdcore.files import write_file

_FAILED: Final = 1
_INVALID: Final = 2
_INTERRUPTED: Final = 130


def main() -> int:
    """Return 0 where the page is written, 1 or 2 where it cannot be, 130 where it was stopped."""
    arguments = _arguments()
    console = Console(stderr=True)
    signal.signal(signal.SIGTERM, _interrupt)
    work: Path = arguments.work or Path("out/results") / arguments.recipe.stem
    inputs: Path = arguments.inputs or arguments.recipe.parent
    try:
        tasks = read_tasks(arguments.recipe, arguments.methods, arguments.seeds)
        with claimed(work) as lock, Board(console) as board:
            facts = read_facts(tasks[0], tasks[0].folder(work) / "data.json", inputs)
            house = House(work, inputs, arguments.jobs, source_digest(), lock, board)
            results = house.run(tasks)
        return _tell(arguments, tasks, results, facts)
    except BusyError as error:
        return _complain(str(error), _FAILED)
    except KdcoreError as error:
        return _complain(f"{error} ({error.hint})", _INVALID)
    except KeyboardInterrupt:
        return _complain("stopped and saved; the same command goes on from here", _INTERRUPTED)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.results",
        description="Run every method on a recipe, beside the student alone, and write a page. "
        "Interrupt it, call it again, and it goes on where it was; what is finished is kept.",
    )
    add = parser.add_argument
    add("--recipe", type=Path, default=Path("examples/results_digits.yaml"), metavar="FILE")
    add("--inputs", type=Path, metavar="DIR", help="files that it names (the recipe's folder)")
    add("--out", type=Path, default=Path("docs/results.md"), metavar="FILE", help="the page")
    add("--work", type=Path, metavar="DIR", help="kept folder (out/results/<the recipe's name>)")
    add("--methods", nargs="+", default=[], choices=list(METHODS), metavar="NAME", help="(all)")
    add("--seeds", nargs="+", type=int, default=[], metavar="N", help="instead of the recipe's")
    add(
        "--jobs",
        type=_positive,
        default=_jobs(),
        metavar="N",
        help="methods at a time (%(default)s)",
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}; expected 1 or more")
    return number


def _jobs() -> int:
    return min(os.cpu_count() or 1, 2)


def _tell(
    arguments: argparse.Namespace, tasks: Sequence[Task], results: Sequence[Result], facts: Facts
) -> int:
    """Write the page, or say why there is none."""
    reference = results[0]
    if not reference.finished:
        words = reference.failure.words if reference.failure else "it did not end"
        return _complain(
            f"{reference.method}, which all are compared with, failed: {words}", _FAILED
        )
    story = Story(
        command=shlex.join(["python", "-m", "benchmarks.results", *sys.argv[1:]]),
        recipe_file=arguments.recipe.as_posix(),
        recipe_text=arguments.recipe.read_text(),
        facts=facts,
        tasks=tasks,
        results=results,
    )
    write_file(arguments.out, page(story).encode())
    failed = [result.method for result in results if not result.finished]
    print(f"written: {arguments.out}" + (f" (failed: {', '.join(failed)})" if failed else ""))
    return 0


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _complain(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
