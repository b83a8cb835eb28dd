"""One job: its verdict, curves, stages, files and story, and what keeps an open page up to date."""

from __future__ import annotations

import json
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from api import telling
from api.dependencies import JobId, Ledger
from api.pages import charts
from api.pages.job_parts import PARTS, parts_of, told_of
from api.pages.live import Drawer
from api.pages.rendering import page
from api.pages.words import in_yaml
from api.schemas import Job
from api.streams import EventStream

router = APIRouter(include_in_schema=False)

_CURVE_POINTS: Final = 1000


@router.get("/jobs/{job_id}")
def job_page(visit: Ledger, job_id: JobId) -> Response:
    """Show one job."""
    with visit.reading() as repository:
        told = told_of(visit.house, repository, job_id, names=PARTS)
        metric = f"validation/{told.task.metric}"
        curves = repository.metrics(job_id, keys=["loss", metric], max_points=_CURVE_POINTS)
    score = charts.curves(curves.stages, metric)
    loss = charts.curves(curves.stages, "loss")
    level = _teacher_level(told.job, score)
    return page(
        "job.html",
        visit,
        job=told.job,
        task=told.task,
        parts=parts_of(visit, told),
        roles=charts.ROLES,
        score=score,
        loss=loss,
        teacher_level=level,
        score_chart=charts.score_chart(score, told.task.title, level) if score else None,
        loss_chart=charts.loss_chart(loss) if loss else None,
        sent=in_yaml(told.job.spec),
        recipe=json.dumps(told.job.recipe, indent=2, ensure_ascii=False),
    )


@router.get("/jobs/{job_id}/live")
async def live(visit: Ledger, job_id: JobId) -> Response:
    """Keep an open page up to date: server-sent `parts`, `points`, and `end`."""
    if telling.is_terminal(await visit.row(job_id)):
        return Response(status_code=204)
    return EventStream(visit.screens.stream(job_id, Drawer(visit, job_id), visit.is_welcome))


def _teacher_level(job: Job, lines: list[charts.Curve]) -> float | None:
    """Return the teacher's score: on the curve's samples where known, else on the test's."""
    for line in lines:
        if line.role == "teacher":
            return line.means[-1]
    if job.verdict:
        return job.verdict.teacher.score.mean
    return None
