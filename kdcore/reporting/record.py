"""All that a run tells at its end, as one document; its other forms are drawn from it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from kdcore.quality import Quality
from kdcore.verdict import Verdict


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class StageTold(_Record):
    """One training of the run."""

    stage: str
    role: str
    seed: int
    steps: int
    seconds: float
    """That it took; of the attempt that finished it."""
    scores: dict[str, float]
    """On the test part, but for those that begin with `validation_`."""


class Report(_Record):
    """One run: what was compared, how it came out, and what it was made with."""

    format: Literal["stillhouse-report"] = "stillhouse-report"
    version: Literal[1] = 1
    name: str | None
    teacher: str
    student: str
    data: str
    task: str = "classification"
    method: str | None
    """None where the axes were written out."""
    verdict: Verdict
    quality: Quality
    stages: list[StageTold]
    versions: dict[str, str]
    """Of what the run was computed with."""
    digests: dict[str, str]
    """sha256 of the `recipe`, the `data`, the teacher's `weights` and other files, by name."""
    recipe: dict[str, Any]
    """The recipe with all its defaults."""
