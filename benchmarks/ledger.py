"""The ledger with many jobs against one with few: lists, pages, claims, counts, curves, in one run.

    python benchmarks/ledger.py [--database sqlite|postgresql] [--jobs 10000 100000] [--json FILE]

Ledgers of each size are filled and then asked in turn, in an order that is shuffled anew in each
repetition; the ratio is that of the medians, largest ledger to smallest. `--jobs 10000 1000000` is
the whole thing: 4 GB of disk and some minutes of filling.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import text
from stand.curves import measure_curves
from stand.databases import KINDS, empty_database
from stand.filling import RARE, fill

from jobs.database import Database, migrate
from jobs.endings import Ending
from jobs.repository import Repository
from jobs.states import Status
from jobs.tenants import DEFAULT_PROJECT

Ask = Callable[[Repository], object]


def questions(middle: str) -> Mapping[str, Ask]:
    """Return what is asked; `middle` is the id in the middle of all."""
    return {
        "get one": lambda ledger: ledger.row(middle),
        "newest 50": lambda ledger: ledger.list(limit=50),
        "newest 50 failed": lambda ledger: ledger.list(limit=50, status=[Status.FAILED]),
        "newest 50 of three statuses": lambda ledger: ledger.list(
            limit=50, status=[Status.QUEUED, Status.RUNNING, Status.CANCELLED]
        ),
        "newest 50 of a method": lambda ledger: ledger.list(limit=50, method="dkd"),
        "newest 50 of a student": lambda ledger: ledger.list(limit=50, student="mlp"),
        "newest 50 with a label": lambda ledger: ledger.list(limit=50, labels={"team": "team 3"}),
        "the 3 with a rare label": lambda ledger: ledger.list(limit=50, labels=RARE),
        "50 in the middle": lambda ledger: ledger.list(limit=50, after=middle),
        "50 failed in the middle": lambda ledger: ledger.list(
            limit=50, after=middle, status=[Status.FAILED]
        ),
        "method and status": lambda ledger: ledger.list(
            limit=50, method="kd", status=[Status.FAILED]
        ),
        "words nobody wrote": lambda ledger: ledger.list(limit=50, q="no such words"),
        "counts": lambda ledger: ledger.counts(),
    }


def claim(database: Database) -> float:
    """Return the seconds of claiming the next job; it is then put back."""
    start = time.perf_counter()
    with database.write() as session:
        claimed = Repository(session).claim("bench", 60)
    took = time.perf_counter() - start
    assert claimed is not None  # noqa: S101  # a third of them waits
    with database.write() as session:
        Repository(session).release(
            claimed.job_id, claimed.attempt, Ending("bench"), counted=False, retry_seconds=0
        )
    return took


def ask(database: Database, question: Ask) -> float:
    """Return the seconds of one question, transaction included."""
    start = time.perf_counter()
    with database.read() as session:
        question(Repository(session, DEFAULT_PROJECT))
    return time.perf_counter() - start


def main() -> None:
    """Measure, print tables, and write the numbers where they are asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--database", choices=KINDS, action="append")
    parser.add_argument("--jobs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    for kind in arguments.database or KINDS:
        results[kind] = {
            "jobs": measure_jobs(kind, arguments.jobs, arguments.repeats),
            "curves": measure_curves(kind, arguments.points),
        }
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def measure_jobs(kind: str, sizes: list[int], repeats: int) -> dict[str, dict[int, list[float]]]:
    """Measure every question on ledgers of several sizes, and print the table."""
    times: dict[str, dict[int, list[float]]] = {}
    with contextlib.ExitStack() as stack:
        ledgers: dict[int, tuple[Database, Mapping[str, Ask]]] = {}
        for size in sizes:
            url = stack.enter_context(empty_database(kind))
            database = stack.enter_context(Database(url))
            migrate(database)
            ids = fill(database, size)
            with database.engine.connect().execution_options(
                isolation_level="AUTOCOMMIT"
            ) as connection:
                connection.execute(text("ANALYZE" if database.is_sqlite else "VACUUM ANALYZE"))
            ledgers[size] = database, questions(ids[len(ids) // 2])
        names = [*questions(""), "claim"]
        for repeat in range(repeats + 1):
            rounds = [(name, size) for name in names for size in sizes]
            for name, size in random.sample(rounds, len(rounds)):
                database, asked = ledgers[size]
                took = claim(database) if name == "claim" else ask(database, asked[name])
                if repeat:  # the first round only warms the caches
                    times.setdefault(name, {}).setdefault(size, []).append(took)
    low, high = min(sizes), max(sizes)
    print(f"| {kind}, ms | {' | '.join(f'{size:,} jobs' for size in sizes)} | ratio |")
    print("| --- |" + " ---: |" * (len(sizes) + 1))
    for name in names:
        middles = {size: 1000 * statistics.median(times[name][size]) for size in sizes}
        shown = " | ".join(f"{middles[size]:.2f}" for size in sizes)
        print(f"| {name} | {shown} | {middles[high] / middles[low]:.2f} |")
    print(flush=True)
    return times


if __name__ == "__main__":
    main()
