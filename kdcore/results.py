"""What is kept of a finished training, so that none is done twice: weights, scores, digests.

A result is either whole or made again. The record is written last, and holds the digest of every
file that later stages read.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from kdcore.errors import WeightsError
from kdcore.events import Warned
from kdcore.files import write_file
from kdcore.network import build, predict, weights_bytes
from kdcore.plan import Stage
from kdcore.run import Run
from kdcore.stage import anchor_file
from kdcore.weights import load_weights


@dataclass(frozen=True, slots=True)
class Result:
    """A finished training."""

    network: nn.Module
    scores: dict[str, float]
    seconds: float
    """That the attempt which finished it took for it."""


def keep(stage: Stage, result: Result, run: Run) -> None:
    """Write down what came of a training; its checkpoints are not needed any more.

    Raises:
        DiskFullError: no room; the checkpoints are still there.
    """
    write_file(_weights(stage, run), weights_bytes(result.network))
    digests = {file.name: _sha256(file) for file in _files(stage, run)}
    record = {"scores": result.scores, "seconds": result.seconds, "sha256": digests}
    write_file(_record(stage, run), json.dumps(record).encode())
    shutil.rmtree(run.workdir / "checkpoints" / stage.name, ignore_errors=True)


def recall(stage: Stage, run: Run) -> Result | Warned | None:
    """Return what an earlier attempt made of a stage; a warning where that is damaged."""
    if not _record(stage, run).exists():
        return None
    try:
        record = cast("dict[str, Any]", json.loads(_record(stage, run).read_bytes()))
        for file in _files(stage, run):
            _check(file, record["sha256"][file.name])
        network = read_network(stage, _weights(stage, run), run)
        scores = cast("dict[str, float]", record["scores"])
        return Result(network, scores, float(record["seconds"]))
    except (WeightsError, OSError, ValueError, KeyError, TypeError) as error:
        _record(stage, run).unlink()
        return Warned(
            code="result_damaged",
            message=f"what was kept of {stage.name} is damaged ({error}); it is trained again",
            hint="look after the disk; the student will be the same, only later",
        )


def test_logits(stage: Stage, run: Run) -> Tensor:
    """Return what a finished network that is not kept in memory says of the test part, `(N, C)`.

    Raises:
        WeightsError: its file is missing or damaged.
    """
    return predict(read_network(stage, _weights(stage, run), run), run.corpus.test.inputs)


def weights_digest(stage: Stage, run: Run) -> str | None:
    """Return the sha256 of the weights that a training ended with; None before it did."""
    file = _weights(stage, run)
    return _sha256(file) if file.exists() else None


def read_network(stage: Stage, file: Path, run: Run) -> nn.Module:
    """Read a network of the stage's kind.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    network = build(stage.model, run.corpus.input_shape, run.corpus.num_classes, seed=0)
    load_weights(network, file, file.name)
    return network.to(run.device)


def _weights(stage: Stage, run: Run) -> Path:
    return run.workdir / "stages" / f"{stage.name}.safetensors"


def _record(stage: Stage, run: Run) -> Path:
    return _weights(stage, run).with_suffix(".json")


def _files(stage: Stage, run: Run) -> list[Path]:
    """Return what later stages read of this one."""
    return [_weights(stage, run), *(anchor_file(run.anchors, step) for step in stage.anchors)]


def _check(file: Path, digest: object) -> None:
    if _sha256(file) != digest:
        raise WeightsError(f"{file.name} is not as it was written")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
