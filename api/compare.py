"""Jobs beside each other: what was asked differently, what came out, and which is best where."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from pydantic import JsonValue

from api import views
from api.compared import Compared, ComparisonWarning, unmeasured, unproven, what_parts
from api.differences import differences
from api.schemas import Body, Failure, JobLinks, JobStatus
from kdcore.gate import METRICS, SMALLER_IS_BETTER
from kdcore.verdict import GateResult, values_of

Unit = Literal["fraction", "difference", "count", "megabytes", "milliseconds", "seconds", "ratio"]
Direction = Literal["maximize", "minimize"]

_SECONDS: Final = "training_seconds"
_SECONDS_ABOUT: Final = "how long the training of one student took, mean over the seeds"
_UNITS: Final[Mapping[str, Unit]] = {
    "uplift": "difference",
    "retention": "ratio",
    "parameters": "count",
    "size_mb": "megabytes",
    "flops": "count",
    "latency_ms": "milliseconds",
    "int8.drop": "difference",
    "int8.size_mb": "megabytes",
    "int8.latency_ms": "milliseconds",
    _SECONDS: "seconds",
}
"""Of metrics; all others are fractions of 1."""
_PLAIN: Final = (
    *("uplift", "retention", "agreement", "parameters", "size_mb", "flops", "latency_ms"),
    *("int8.drop", "int8.size_mb", "int8.latency_ms"),
)
"""Metrics that are one number."""


class ComparedJob(Body):
    """A job, as far as it is compared."""

    id: str
    name: str | None
    status: JobStatus
    terminal: bool
    method: str | None
    teacher: str
    """The teacher's architecture."""
    student: str
    """The student's architecture."""
    outcome: str | None
    """Of its verdict, in one word; none before there is one."""
    gates: list[GateResult]
    """Empty before there is a verdict."""
    gates_passed: bool | None
    failure: Failure | None
    created_at: datetime
    finished_at: datetime | None
    links: JobLinks


class SpecDifference(Body):
    """A field of the recipes in which jobs differ."""

    pointer: str
    """JSON pointer (RFC 6901) into the `recipe`."""
    values: dict[str, JsonValue]
    """By job; only those whose recipe has the field, be it null."""
    absent: list[str]
    """Jobs whose recipe does not have it."""


class MetricValue(Body):
    """What was measured of one job."""

    value: float
    """Over the seeds it is the mean."""
    std: float | None = None
    """Sample standard deviation over the seeds; none for one, or where seeds do not matter."""
    low: float | None = None
    """Lower end of the confidence interval, where there is one."""
    high: float | None = None


class ComparedMetric(Body):
    """One measure over all jobs."""

    name: str
    """As gates call it, or `training_seconds`."""
    about: str
    """What it is, in words."""
    unit: Unit
    """`fraction`: 1 is all; `difference`: of two of these; `ratio`: of one to another."""
    direction: Direction
    """Where better lies."""
    values: dict[str, MetricValue | None]
    """By job; none where it was not measured."""
    best: list[str]
    """Jobs with the best value: several are a tie. Empty where fewer than two were measured, or
    where the jobs are not `comparable`."""


class Comparison(Body):
    """Jobs beside each other."""

    object: Literal["comparison"] = "comparison"
    jobs: list[ComparedJob]
    """In the order in which they were asked for."""
    comparable: bool
    """Whether all that were measured were asked the same, and measured on the same samples."""
    warnings: list[ComparisonWarning]
    metrics: list[ComparedMetric]
    """What at least one of the jobs was measured in."""
    spec_diff: list[SpecDifference]


def comparison(compared: Sequence[Compared]) -> Comparison:
    """Put jobs beside each other, as far as they came."""
    measured = [one for one in compared if one.verdict]
    parted = list(what_parts(measured))
    notes = [*unmeasured(compared), *parted, *unproven(measured)]
    return Comparison(
        jobs=[_job(one) for one in compared],
        comparable=not parted,
        warnings=notes,
        metrics=list(_metrics(compared, comparable=not parted)),
        spec_diff=list(_spec_diff(compared)),
    )


def _job(one: Compared) -> ComparedJob:
    told = views.summary(one.job)
    gates = one.verdict.gates if one.verdict else []
    fields = {name: getattr(told, name) for name in ComparedJob.model_fields if name != "gates"}
    return ComparedJob(gates=gates, **fields)


def _metrics(compared: Sequence[Compared], *, comparable: bool) -> Iterator[ComparedMetric]:
    found = {one.job.id: dict(_measured(one)) for one in compared}
    for name, about in {**METRICS, _SECONDS: _SECONDS_ABOUT}.items():
        values = {job_id: theirs.get(name) for job_id, theirs in found.items()}
        if not any(values.values()):
            continue
        small = name in SMALLER_IS_BETTER or name == _SECONDS
        yield ComparedMetric(
            name=name,
            about=about,
            unit=_UNITS.get(name, "fraction"),
            direction="minimize" if small else "maximize",
            values=values,
            best=_best(values, min if small else max) if comparable else [],
        )


def _measured(one: Compared) -> Iterator[tuple[str, MetricValue]]:
    """Yield what a job was measured in, by name."""
    verdict = one.verdict
    if verdict is None:
        return
    values = values_of(verdict)
    for name in (*_PLAIN, f"int8.{verdict.metric}"):
        if (value := values[name]) is not None:
            yield name, MetricValue(value=value)
    networks = {
        "teacher": verdict.teacher,
        "student": verdict.student,
        "baseline": verdict.baseline,
    }
    for who, network in networks.items():
        if network is not None:
            score = network.score
            yield f"{who}.{verdict.metric}", MetricValue(value=score.mean, std=score.std)
    if uplift := verdict.uplift:
        sure = {"low": uplift.low, "high": uplift.high}
        yield "uplift", MetricValue(value=uplift.mean, std=_spread(uplift.values), **sure)
    if one.seconds:
        mean = statistics.fmean(one.seconds)
        yield _SECONDS, MetricValue(value=mean, std=_spread(one.seconds))


def _spread(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _best(
    values: Mapping[str, MetricValue | None], choose: Callable[[Iterable[float]], float]
) -> list[str]:
    known = {job_id: one.value for job_id, one in values.items() if one is not None}
    if len(known) < 2:  # noqa: PLR2004  # one alone is the best of nothing
        return []
    top = choose(known.values())
    # The last bits of a mean are those of the order in which seeds were added.
    return [job_id for job_id, value in known.items() if math.isclose(value, top, rel_tol=1e-12)]


def _spec_diff(compared: Sequence[Compared]) -> Iterator[SpecDifference]:
    # Names tell jobs apart, and change nothing.
    recipes: dict[str, JsonValue] = {
        one.job.id: {name: value for name, value in one.job.recipe.items() if name != "name"}
        for one in compared
    }
    for pointer, values in differences(recipes):
        absent = [job_id for job_id in recipes if job_id not in values]
        yield SpecDifference(pointer=pointer, values=values, absent=absent)
