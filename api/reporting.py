"""What came out of a job, as it is told."""

from __future__ import annotations

from typing import Literal

from api.schemas import Artifact, Body, JobStatus
from kdcore.data_report import DataQuality
from kdcore.quality import Quality
from kdcore.reporting.record import StageTold
from kdcore.verdict import Verdict


class Report(Body):
    """What came out of a job, short enough to be stored with a build."""

    object: Literal["report"] = "report"
    job: str
    name: str | None
    status: JobStatus
    verdict: Verdict
    gates_passed: bool | None
    quality: Quality | None
    """Classes, calibration, confusion; none where the job has no `report.json`, as old ones."""
    data_quality: DataQuality | None
    """Parts, copies and what else is worth knowing of the data; none where `quality` is none, or
    the job is older."""
    stages: list[StageTold]
    """The trainings, and how long each took."""
    versions: dict[str, str]
    """Of what it was computed with."""
    digests: dict[str, str]
    """sha256 of the `recipe`, the `data`, the teacher's `weights` and other files, by name."""
    artifacts: list[Artifact]
