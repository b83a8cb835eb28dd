"""Jobs beside each other, as people read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.compare import ComparedJob, ComparedMetric, MetricValue, Unit
from api.dependencies import Ledger
from api.pages import charts, words
from api.pages.rendering import page
from api.routes.compare import MOST, compare
from jobs.metrics import Curves

router = APIRouter(include_in_schema=False)

_POINTS: Final = 400
_STUDENT: Final = "student"
_TOLD: Final[Mapping[Unit, Callable[[float], str]]] = {
    "fraction": words.percent,
    "ratio": words.percent,
    "difference": words.points,
    "count": words.count,
    "megabytes": lambda megabytes: words.size(1e6 * megabytes),
    "milliseconds": lambda milliseconds: f"{words.number(milliseconds)} ms",
    "seconds": words.duration,
}


@router.get("/compare")
def compare_page(
    visit: Ledger,
    jobs: Annotated[str, Query(max_length=1000)] = "",
    ids: Annotated[list[str] | None, Query(alias="id", max_length=MOST + 1)] = None,
) -> Response:
    """Show what was asked differently, what came out, and how it came there."""
    told = compare(visit, ids or [one for one in jobs.split(",") if one])
    with visit.reading() as repository:
        curves = {
            one.id: repository.metrics(one.id, keys=charts.SCORES, max_points=_POINTS)
            for one in told.jobs
        }
    lines = _lines(told.jobs, curves)
    return page(
        "compare.html",
        visit,
        told=told,
        lines=lines,
        chart=charts.score_chart(lines, "score", None) if lines else None,
        cell=_cell,
    )


def _lines(jobs: Sequence[ComparedJob], curves: Mapping[str, Curves]) -> list[charts.Curve]:
    """Return the line of each job's student."""
    return [
        replace(line, role=f"run-{place}", name=job.name or job.id)
        for place, job in enumerate(jobs)
        for key in charts.SCORES
        for line in charts.curves(curves[job.id].stages, key)
        if line.role == _STUDENT
    ]


def _cell(metric: ComparedMetric, value: MetricValue | None) -> str:
    """Return a measure in its own unit, with what is known of how sure it is."""
    if value is None:
        return words.NOTHING
    told = _TOLD[metric.unit](value.value)
    if value.low is not None and value.high is not None:
        return f"{told} [{words.points(value.low)}, {words.points(value.high)}]"
    if value.std is None:
        return told
    is_share = metric.unit == "fraction"
    spread = f"{100 * value.std:.1f}" if is_share else _TOLD[metric.unit](value.std)
    return f"{told} ± {spread}"
