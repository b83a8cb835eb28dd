"""The trade-off: what the students of all jobs score, against what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.checks import labels_of
from api.dependencies import Ledger
from api.pages import scatter
from api.pages.rendering import page
from jobs import tables
from jobs.states import Status
from kdcore.verdict import Measured, Verdict

router = APIRouter(include_in_schema=False)

_JOBS: Final = 200
Cost = Literal["parameters", "size_bytes", "flops", "latency_ms"]
_COSTS: Final[dict[Cost, str]] = {
    "parameters": "parameters",
    "size_bytes": "bytes",
    "flops": "FLOPs",
    "latency_ms": "CPU latency, ms",
}
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


class _Judged(NamedTuple):
    job: tables.Job
    verdict: Verdict


class Row(NamedTuple):
    """A student, as the table below the chart has it."""

    job: tables.Job
    measured: Measured
    is_best: bool


@router.get("/tradeoff")
def tradeoff_page(
    visit: Ledger, against: Cost = "parameters", metric: Text = "", label: Text = ""
) -> Response:
    """Show the newest jobs that succeeded, of one metric."""
    with visit.reading() as repository:
        labels = labels_of([label] if label else [])
        found = repository.list(status=[Status.SUCCEEDED], labels=labels, limit=_JOBS).items
    judged = [_Judged(job, Verdict.model_validate(job.verdict)) for job in found if job.verdict]
    metrics = Counter(one.verdict.called for one in judged)
    shown = metric if metric in metrics else next(iter(dict(metrics.most_common(1))), "")
    ours = [one for one in judged if one.verdict.called == shown]
    rows = _rows(ours, against)
    return page(
        "tradeoff.html",
        visit,
        figure=scatter.draw(_dots(ours, rows, against), x=_COSTS[against], y=f"{shown}, %"),
        rows=rows,
        costs=_COSTS,
        against=against,
        metrics=metrics,
        shown=shown,
        label=label,
        newest=_JOBS if len(found) == _JOBS else None,
    )


def _cost(measured: Measured, cost: Cost) -> float:
    """Return 0 where it is not known: nobody counts the operations of an ONNX file."""
    return float(getattr(measured, cost) or 0)


def _rows(judged: Sequence[_Judged], cost: Cost) -> list[Row]:
    """Return the students, the best first; best is what no other one beats in score and cost."""
    known = [(job, verdict.student) for job, verdict in judged if _cost(verdict.student, cost)]
    rows: list[Row] = []
    least = float("inf")
    for job, student in sorted(known, key=lambda one: (-one[1].score.mean, _cost(one[1], cost))):
        spent = _cost(student, cost)
        rows.append(Row(job, student, is_best=spent < least))
        least = min(least, spent)
    return rows


def _dots(judged: Sequence[_Judged], rows: Sequence[Row], cost: Cost) -> list[scatter.Dot]:
    """Return a dot for each student, and one for each teacher, however many it has taught."""
    teachers = {
        (_cost(verdict.teacher, cost), verdict.teacher.score.mean): job for job, verdict in judged
    }
    dots = [
        scatter.Dot(x, 100 * score, "teacher", f"teacher {job.teacher}", f"/jobs/{job.id}")
        for (x, score), job in teachers.items()
        if x
    ]
    dots += [
        scatter.Dot(
            x=_cost(row.measured, cost),
            y=100 * row.measured.score.mean,
            kind="best" if row.is_best else "other",
            title=row.job.name or row.job.id,
            href=f"/jobs/{row.job.id}",
        )
        for row in rows
    ]
    return dots
