"""A job's curves as rows: one for each step of each training, in the order of the trainings."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from stillhouse.bodies import Metrics


@dataclass(frozen=True)
class Row:
    """What one training was measured at in one step."""

    stage: str
    role: str
    seed: int | None
    step: int
    values: dict[str, float]
    """By metric; what was not measured in this step is not here."""


def rows_of(metrics: Metrics) -> Iterator[Row]:
    """Yield the rows of all curves; a job that runs on only adds to their end."""
    for stage, said in metrics["stages"].items():
        columns = dict(said["columns"])
        steps = columns.pop("step")
        for place, step in enumerate(steps):
            values = {
                name: value
                for name, column in columns.items()
                if (value := column[place]) is not None
            }
            if step is not None and values:
                yield Row(stage, said.get("role", stage), said.get("seed"), int(step), values)


def write_csv(metrics: Metrics, file: IO[str]) -> int:
    """Write the rows, one column for each metric of any training, and return their number."""
    found = list(rows_of(metrics))
    names = sorted({name for row in found for name in row.values})
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["stage", "role", "seed", "step", *names])
    for row in found:
        values = [row.values.get(name, "") for name in names]
        table.writerow(
            [row.stage, row.role, "" if row.seed is None else row.seed, row.step, *values]
        )
    return len(found)
