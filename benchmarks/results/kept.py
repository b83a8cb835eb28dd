"""What is kept of each method: its numbers, and what they were made with."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

import kdcore
from kdcore.events import RunStarted, StageFinished, StageStarted, VerdictReached
from kdcore.files import write_file
from kdcore.verdict import Verdict

_FILE: Final = "result.json"
_LASTING: Final = frozenset({"nan_loss", "recipe_invalid"})
"""Failures that come again; all others are worth another try."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Made(_Record):
    """What numbers may depend on."""

    versions: dict[str, str]
    device: str
    threads: int
    cpus: int
    jobs: int
    """Methods that ran at a time."""
    source: str
    """sha256 of all of kdcore's files."""


class Trained(_Record):
    """One finished stage."""

    role: str
    seed: int
    scores: dict[str, float]
    seconds: float | None
    """None where the start that trained it was killed before it could tell."""


class Failure(_Record):
    """Why there are no numbers."""

    code: str
    words: str


class Result(_Record):
    """One method, as far as it has come."""

    method: str
    made: Made | None = None
    day: str | None = None
    """On which it ended, as YYYY-MM-DD (UTC)."""
    stages: dict[str, Trained] = {}
    verdict: Verdict | None = None
    failure: Failure | None = None
    finished: bool = False

    def is_over(self, source: str) -> bool:
        """Return whether running it again could bring nothing new."""
        if self.finished:
            return True
        lasting = self.failure is not None and self.failure.code in _LASTING
        return lasting and self.made is not None and self.made.source == source

    def started(self, event: RunStarted, jobs: int, source: str) -> None:
        """Note what this attempt computes with."""
        self.failure = None
        self.made = Made(
            versions=event.versions,
            device=event.device,
            threads=event.threads,
            cpus=os.cpu_count() or 1,
            jobs=jobs,
            source=source,
        )

    def trained(self, event: StageFinished, begun: StageStarted | None) -> None:
        """Note a stage; what an earlier attempt told of its seconds still holds.

        An attempt that went on from the middle knows the seconds of its own steps; the steps before
        it are taken to have been as slow.
        """
        seconds = self.stages[event.stage].seconds if event.stage in self.stages else None
        if not event.reused and begun and begun.step < event.step:
            seconds = event.seconds * event.step / (event.step - begun.step)
        self.stages[event.stage] = Trained(
            role=event.role, seed=event.seed, scores=event.scores, seconds=seconds
        )

    def decided(self, event: VerdictReached) -> None:
        """Note the verdict."""
        self.verdict = event.verdict

    def ended(self, failure: Failure | None) -> None:
        """Note the end of the last attempt."""
        self.failure, self.finished = failure, failure is None
        self.day = datetime.now(UTC).date().isoformat()

    def keep(self, folder: Path) -> None:
        """Write it down, whole."""
        write_file(folder / _FILE, self.model_dump_json(indent=1).encode())


def recall(method: str, folder: Path) -> Result:
    """Return what is kept in a folder, or an empty result; a damaged file is as good as none."""
    try:
        return Result.model_validate_json((folder / _FILE).read_bytes())
    except (OSError, ValidationError):
        return Result(method=method)


def source_digest() -> str:
    """Return the sha256 of the engine's own files."""
    folder = Path(kdcore.__path__[0])
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder).as_posix()}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
