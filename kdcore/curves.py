"""The curves of a stage: collected on the device, read back and checked once a chunk."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor

from kdcore.errors import NonFiniteLossError
from kdcore.events import Metrics
from kdcore.plan import Stage


class Curves:
    """Points that were not reported yet."""

    def __init__(self, stage: Stage) -> None:
        """Start empty."""
        self._stage = stage
        names = [objective.name for objective in stage.objectives]
        self._terms = [
            f"loss/{name}" if names.count(name) == 1 else f"loss/{name}-{place}"
            for place, name in enumerate(names, start=1)
        ]
        self._steps: list[int] = []
        self._rates: list[float] = []
        self._losses: list[Tensor] = []
        """The loss and its terms, step after step."""
        self._validation: dict[int, float] = {}
        self.latest: dict[str, float] = {}
        """The newest value of each curve."""

    def add(self, step: int, rate: float, total: Tensor, terms: list[Tensor]) -> None:
        """Take the point of one step, counted from 1, without waiting for the device."""
        self._steps.append(step)
        self._rates.append(rate)
        self._losses += [total, *terms]

    def add_validation(self, step: int, accuracy: float) -> None:
        """Note the validation accuracy after a step."""
        self._validation[step] = accuracy
        self.latest["accuracy"] = accuracy

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
        columns: dict[str, list[int | float | None]] = {
            "step": [*self._steps],
            "learning_rate": [*self._rates],
        }
        for place, name in enumerate(["loss", *self._terms]):
            columns[name] = [row[place] for row in rows]
        if self._validation:
            columns["validation/accuracy"] = [self._validation.get(step) for step in self._steps]
        if rows:
            self.latest["loss"] = rows[-1][0]
        self._steps, self._rates, self._losses, self._validation = [], [], [], {}
        return Metrics(stage=self._stage.name, seed=self._stage.seed, columns=columns)
