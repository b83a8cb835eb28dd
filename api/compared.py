"""Jobs that are compared, and whether what was measured of them can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

from api.differences import differences
from api.schemas import Body
from jobs import tables
from kdcore.verdict import Verdict

_SAME_SAMPLES: Final = frozenset({"labelled", "unlabelled", "validation_size", "augmentation"})
"""Fields of data that change what is learned from, and not what is measured on."""


class ComparisonWarning(Body):
    """Something that whoever reads the numbers should know."""

    code: Literal[
        "not_measured",
        "task_differs",
        "metric_differs",
        "data_differs",
        "teacher_differs",
        "data_unknown",
    ]
    message: str


@dataclass(frozen=True)
class Compared:
    """A job, and what is known of it beyond its row."""

    job: tables.Job
    fingerprint: str | None
    """sha256 of the data that it was measured on; none where nobody knows."""
    seconds: Sequence[float]
    """How long its students' trainings took."""

    @cached_property
    def verdict(self) -> Verdict | None:
        """Its verdict, if it came to one."""
        return Verdict.model_validate(self.job.verdict) if self.job.verdict else None

    @property
    def task(self) -> str:
        """What it was asked; recipes are older than tasks."""
        return str(self.job.recipe.get("task", {}).get("name", "classification"))

    @property
    def samples(self) -> dict[str, Any]:
        """What its recipe says of the samples that it was measured on."""
        data: dict[str, Any] = self.job.recipe["data"]
        return {name: value for name, value in data.items() if name not in _SAME_SAMPLES}


def unmeasured(compared: Sequence[Compared]) -> Iterator[ComparisonWarning]:
    """Yield of which jobs nothing can be told yet, or ever."""
    for one in compared:
        if one.verdict is None:
            says = f"{one.job.id} is {one.job.status} and has no verdict: nothing was measured"
            yield ComparisonWarning(code="not_measured", message=says)


def what_parts(measured: Sequence[Compared]) -> Iterator[ComparisonWarning]:
    """Yield why no measure of one job can be held against another's."""
    tasks = [one.task for one in measured]
    if len(set(tasks)) > 1:
        says = f"the jobs were asked different things ({_each(measured, tasks)})"
        yield ComparisonWarning(code="task_differs", message=says)
    metrics = [one.verdict.metric for one in measured if one.verdict]
    if len(set(metrics)) > 1:
        says = f"the jobs count by different metrics ({_each(measured, metrics)})"
        yield ComparisonWarning(code="metric_differs", message=says)
    known = [one for one in measured if one.fingerprint]
    prints = [one.fingerprint or "" for one in known]
    if len(set(prints)) > 1:
        shown = _each(known, [one[:12] for one in prints])
        says = f"the jobs were measured on different data (sha256 {shown})"
        yield ComparisonWarning(code="data_differs", message=says)
    elif len(known) < len(measured) and _differ([one.samples for one in measured]):
        says = "the jobs were measured on different data, as their recipes say"
        yield ComparisonWarning(code="data_differs", message=says)
    if set(metrics) == {"cosine"} and _differ([one.job.recipe["teacher"] for one in measured]):
        says = "the teacher's vectors are the measure, and the jobs have different teachers"
        yield ComparisonWarning(code="teacher_differs", message=says)


def unproven(measured: Sequence[Compared]) -> Iterator[ComparisonWarning]:
    """Yield whose data nobody can be sure of."""
    unknown = [one.job.id for one in measured if not one.fingerprint]
    if unknown and len(measured) > 1:
        says = f"no report.json tells the fingerprint of the data of {', '.join(unknown)} any more;"
        says += " whether it was the same is taken from the recipes"
        yield ComparisonWarning(code="data_unknown", message=says)


def _differ(documents: Sequence[Mapping[str, Any]]) -> bool:
    named = {str(place): dict(one) for place, one in enumerate(documents)}
    return any(True for _ in differences(named))


def _each(compared: Sequence[Compared], words: Sequence[str]) -> str:
    return ", ".join(f"{one.job.id}: {word}" for one, word in zip(compared, words, strict=True))
