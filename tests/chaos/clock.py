"""A process whose wall clock is wrong: `python -m chaos.clock FILE MODULE ARGUMENTS`.

The file holds by how many seconds, and may change at any time. libfaketime would fake the clock of
the whole process; it is under the GPL, and our processes read theirs in two places: `time.time`
(Celery, logging) and `datetime.now` (the clock of a SQLite ledger, the age of a worker).
"""

import importlib
import os
import runpy
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

READERS = {"api": "api.dependencies", "worker": "jobs.database"}


def main() -> None:
    """Shift the clock, then be the module."""
    file, module, *arguments = sys.argv[1:]
    shift = follow(Path(file))
    real = time.time
    time.time = lambda: real() + shift()

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(seconds=shift())

    for name in {"jobs.database", READERS[module]}:
        vars(importlib.import_module(name))["datetime"] = Shifted
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def follow(file: Path) -> Callable[[], float]:
    """Return what tells the number of seconds that the file holds now."""
    descriptor = os.open(file, os.O_RDONLY)
    return lambda: float(os.pread(descriptor, 32, 0) or 0)


if __name__ == "__main__":
    main()
