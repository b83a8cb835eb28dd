"""The curves of a stage: collected on the device, read back and checked once a chunk."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import torch
from torch import Tensor

from kdcore.errors import NonFiniteLossError
from kdcore.events import Metrics
from kdcore.files import disk_full_is_named, write_file
from kdcore.plan import Stage

Columns: TypeAlias = dict[str, list[int | float | None]]


class Curves:
    """The points of a stage: those that were not reported yet, and a file of those that were.

    The file is for the next attempt: what this one told may be lost with whoever it was told to,
    while the checkpoint behind it is safe. An attempt that goes on tells the whole curve once more.
    """

    def __init__(self, stage: Stage, file: Path, learned: Sequence[str] = ()) -> None:
        """Keep the reported points in `file`; `learned` numbers come behind the terms."""
        self._stage = stage
        self._file = file
        names = [objective.name for objective in stage.objectives]
        self._terms = [
            f"loss/{name}" if names.count(name) == 1 else f"loss/{name}-{place}"
            for place, name in enumerate(names, start=1)
        ] + [*learned]
        self._steps: list[int] = []
        self._rates: list[float] = []
        self._losses: list[Tensor] = []
        """The loss and its terms, step after step."""
        self._validation: dict[int, Mapping[str, float]] = {}
        self.latest: dict[str, float] = {}
        """The newest value of each curve."""

    def add(self, step: int, rate: float, total: Tensor, terms: list[Tensor]) -> None:
        """Take the point of one step, counted from 1, without waiting for the device.

        Behind the terms of the loss stand the learned numbers.
        """
        self._steps.append(step)
        self._rates.append(rate)
        self._losses += [total, *terms]

    def add_validation(self, step: int, scores: Mapping[str, float]) -> None:
        """Note scores on the validation samples after a step."""
        self._validation[step] = scores
        self.latest.update(scores)

    def check(self) -> list[list[float]]:
        """Read the losses back.

        Raises:
            NonFiniteLossError: one is NaN or infinite.
        """
        if not self._losses:
            return []
        table = torch.stack(self._losses).view(-1, 1 + len(self._terms))
        rows = cast("list[list[float]]", table.tolist())
        for step, (total, *_) in zip(self._steps, rows, strict=True):
            if not math.isfinite(total):
                raise NonFiniteLossError(
                    f"the loss became {total} at step {step} of stage {self._stage.name}"
                )
        return rows

    def flush(self) -> Metrics:
        """Return the points since the last call, and forget them.

        Raises:
            NonFiniteLossError: as `check`.
        """
        rows = self.check()
        columns: Columns = {"step": [*self._steps], "learning_rate": [*self._rates]}
        for place, name in enumerate(["loss", *self._terms]):
            columns[name] = [row[place] for row in rows]
        for name in dict.fromkeys(name for scores in self._validation.values() for name in scores):
            columns[f"validation/{name}"] = [
                self._validation.get(step, {}).get(name) for step in self._steps
            ]
        if rows:
            self.latest["loss"] = rows[-1][0]
        self._steps, self._rates, self._losses, self._validation = [], [], [], {}
        with disk_full_is_named(), self._file.open("a") as file:
            file.write(json.dumps(columns) + "\n")
        return self._told(columns)

    def retell(self, step: int) -> Metrics:
        """Return the points up to a step that earlier attempts reported; forget later ones."""
        points: dict[int, dict[str, int | float | None]] = {}
        for line in self._file.read_text().splitlines() if self._file.exists() else []:
            with contextlib.suppress(ValueError):  # the last line of a killed attempt may be torn
                told: Columns = json.loads(line)
                for row in zip(*told.values(), strict=True):
                    points[int(row[0] or 0)] = dict(zip(told, row, strict=True))
        kept = [points[place] for place in sorted(points) if place <= step]
        names = dict.fromkeys(name for point in kept for name in point)
        columns: Columns = {name: [point.get(name) for point in kept] for name in names}
        # A file of its own: an earlier attempt that still lives must not write into ours.
        write_file(self._file, (json.dumps(columns) + "\n").encode())
        return self._told(columns or {"step": []})

    def _told(self, columns: Columns) -> Metrics:
        return Metrics(stage=self._stage.name, seed=self._stage.seed, columns=columns)
