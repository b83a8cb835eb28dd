"""What came out of a job, as it is told."""

from __future__ import annotations

from typing import Literal

from api.schemas import Artifact, Body, Job, JobStatus
from kdcore.data_report import DataQuality
from kdcore.measures import FormTold, Timing
from kdcore.quality import Quality
from kdcore.reporting.record import Point, StageTold
from kdcore.reporting.record import Report as Told
from kdcore.verdict import Verdict


class Report(Body):
    """What came out of a job, short enough to be stored with a build."""

    object: Literal["report"] = "report"
    job: str
    name: str | None
    status: JobStatus
    teacher: str
    """As its library calls it, where that is known."""
    student: str
    data: str | None
    """The kind of data, `image_folder` and the like. This, and all below that can be none or empty,
    is so where the job has no `report.json` that can be read, as old ones."""
    task: str | None
    method: str | None
    """None where the axes were written out."""
    verdict: Verdict
    gates_passed: bool | None
    forms: list[FormTold]
    """The delivered student's other forms: the largest difference of their outputs, and how much
    was allowed."""
    timings: list[Timing]
    """Latency of teacher and student on the declared targets."""
    pareto: list[Point]
    """The compared networks, and the int8 form: what each gives and costs, and which are on the
    front."""
    quality: Quality | None
    """Classes, calibration, confusion."""
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


def report_of(job: Job, verdict: Verdict, told: Told | None, files: list[Artifact]) -> Report:
    """Return the report of a job; `told` is what its trainer told, where that can be read."""
    return Report(
        job=job.id,
        name=job.name,
        status=job.status,
        teacher=told.teacher if told else job.teacher,
        student=told.student if told else job.student,
        data=told.data if told else None,
        task=told.task if told else None,
        method=job.method,
        verdict=verdict,
        gates_passed=job.gates_passed,
        forms=told.forms if told else [],
        timings=told.timings if told else [],
        pareto=told.pareto if told else [],
        quality=told.quality if told else None,
        data_quality=told.data_quality if told else None,
        stages=told.stages if told else [],
        versions=told.versions if told else {},
        digests=told.digests if told else {},
        artifacts=files,
    )
