"""All that a run tells at its end, as one document; its other forms are drawn from it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from kdcore.data_report import DataQuality
from kdcore.measures import FormTold, Timing
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


class Point(_Record):
    """What one network gives, and what it costs."""

    network: str
    score: float
    """The verdict's `metric` on the test part, mean over the seeds."""
    parameters: int
    size_bytes: int
    flops: int | None
    """For one sample, two for each multiply-add; none where nobody can count them."""
    latency_ms: float | None
    """Median of PyTorch for one sample on one CPU thread; none where that does not run it."""
    front: bool
    """Whether it is on the Pareto front: no other network is as good in all, and better in one."""


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
    forms: list[FormTold] = []
    """The delivered student's other forms, each held against it."""
    timings: list[Timing] = []
    """Teacher and student on the declared targets."""
    pareto: list[Point] = []
    """The compared networks, and the int8 form, as points."""
    quality: Quality
    data_quality: DataQuality | None = None
    """What is worth knowing of the data; None in reports of older versions."""
    stages: list[StageTold]
    versions: dict[str, str]
    """Of what the run was computed with."""
    digests: dict[str, str]
    """sha256 of the `recipe`, the `data`, the teacher's `weights` and other files, by name."""
    recipe: dict[str, Any]
    """The recipe with all its defaults."""
