"""Looking closely at numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdcore.quality import Errors, TargetQuality, TargetScore
from kdcore.scores import explained
from kdcore.task import Said

if TYPE_CHECKING:
    from torch import Tensor


def examine_targets(said: Said) -> TargetQuality:
    """Examine what networks said of a test part with numbers, in the user's units."""
    units = [*said.units, *[1.0] * (said.teacher.shape[1] - len(said.units))]
    told = {
        name: _errors(outputs, said.samples.labels, units)
        for name, outputs in said.networks.items()
    }
    return TargetQuality(
        seed=said.seed,
        targets=[
            TargetScore(name=name, networks={role: errors[place] for role, errors in told.items()})
            for place, name in enumerate(said.called)
        ],
    )


def _errors(outputs: Tensor, truth: Tensor, units: list[float]) -> list[Errors]:
    apart = outputs.double() - truth.double()
    squares, sizes = apart.square().mean(0).sqrt(), apart.abs().mean(0)
    return [
        Errors(r2=float(r2), rmse=unit * float(rmse), mae=unit * float(mae))
        for unit, r2, rmse, mae in zip(
            units, explained(outputs, truth), squares, sizes, strict=True
        )
    ]
