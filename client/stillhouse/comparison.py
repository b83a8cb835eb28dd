"""The shape of a comparison, as the API answers it."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from stillhouse.bodies import Failure, Gate, Status


class ComparedJob(TypedDict):
    """A job, as far as it is compared."""

    id: str
    name: str | None
    status: Status
    terminal: bool
    method: str | None
    teacher: str
    student: str
    outcome: str | None
    gates: list[Gate]
    gates_passed: bool | None
    failure: Failure | None
    created_at: str
    finished_at: str | None
    links: dict[str, str]


class SpecDifference(TypedDict):
    """A field of the recipes in which jobs differ."""

    pointer: str
    values: dict[str, Any]
    """By job; those whose recipe does not have it are in `absent`."""
    absent: list[str]


class MetricValue(TypedDict):
    """What was measured of one job; over the seeds it is the mean."""

    value: float
    std: float | None
    low: float | None
    high: float | None


class ComparedMetric(TypedDict):
    """One measure over all jobs."""

    name: str
    about: str
    unit: str
    """fraction, difference, ratio, count, megabytes, milliseconds or seconds."""
    direction: Literal["maximize", "minimize"]
    values: dict[str, MetricValue | None]
    best: list[str]
    """Several are a tie; none where nothing can be best."""


class ComparisonWarning(TypedDict):
    """Something that whoever reads the numbers should know."""

    code: str
    message: str


class Comparison(TypedDict):
    """Jobs beside each other."""

    object: Literal["comparison"]
    jobs: list[ComparedJob]
    comparable: bool
    warnings: list[ComparisonWarning]
    metrics: list[ComparedMetric]
    spec_diff: list[SpecDifference]
