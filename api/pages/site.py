"""The pages: all jobs, and one job with its verdict, curves, stages, files and story.

They are complete without JavaScript. With it, `live.js` asks for the same page again when something
has happened, and puts the changed parts in place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import APIRouter, Query
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from api import views
from api.answers import NO_STORE
from api.dependencies import JobId, Ledger
from api.pages import charts, storyline, words
from api.pagination import decode, encode
from api.schemas import Job
from jobs.ids import JOB_ID
from jobs.states import ACTIVE, TRANSITIONS, Status, Verb
from kdcore import events as engine
from kdcore.task import Task
from kdcore.tasks import TASKS

router = APIRouter(include_in_schema=False)

_HERE: Final = Path(__file__).parent
_CURVE_POINTS: Final = 1000
_EVENTS: Final = 1000
_LISTED: Final = 50
_GROUPS: Final[dict[str, list[Status]]] = {
    "active": [Status.QUEUED, Status.RUNNING, Status.PAUSING, Status.PAUSED, Status.CANCELLING],
    "succeeded": [Status.SUCCEEDED],
    "failed": [Status.FAILED],
    "cancelled": [Status.CANCELLED],
}
_AT_WORK: Final = {*ACTIVE, Status.QUEUED}
_SERVICE_EVENTS: Final = (
    "job.queued attempt.started attempt.first_step attempt.ended job.cancel_requested job.retried"
    " job.pause_requested job.paused job.resumed job.changed job.purged"
    " job.succeeded job.failed job.cancelled progress"
)
_EVENT_TYPES: Final = " ".join(
    [_SERVICE_EVENTS, *(kind.model_fields["type"].default for kind in get_args(engine.Event))]
)
"""Names that the browser listens to: an EventSource hears only what it was told to."""

TEMPLATES: Final = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
for _name, _filter in words.FILTERS.items():
    TEMPLATES.filters[_name] = _filter


def static_files() -> StaticFiles:
    """Return the app that serves the style sheet, the script and the icon."""
    return StaticFiles(directory=_HERE / "static")


def _page(template: str, **values: Any) -> HTMLResponse:
    text = TEMPLATES.get_template(template).render(**values)
    return HTMLResponse(text, headers=NO_STORE)


@router.get("/")
def board(
    visit: Ledger,
    show: Literal["all", "active", "succeeded", "failed", "cancelled"] = "all",
    q: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
    after: str | None = None,
) -> Response:
    """Show the jobs, the newest first."""
    position = decode("jobs", after, JOB_ID) if after else None
    with visit.reading() as repository:
        page = repository.list(
            status=_GROUPS.get(show, ()), q=q or None, limit=_LISTED, after=position
        )
        jobs = [views.summary(job) for job in page.items]
        counts = views.counts(repository.counts())
        oldest = visit.house.oldest_beat()
        workers = sum(views.takes_jobs(worker, oldest) for worker in repository.workers())
    totals = {name: sum(counts[status] for status in group) for name, group in _GROUPS.items()}
    return _page(
        "board.html",
        caller=visit.caller,
        jobs=jobs,
        show=show,
        q=q,
        is_first=position is None,
        older=encode("jobs", page.next_after) if page.next_after else None,
        totals={"all": sum(counts.values()), **totals},
        workers=workers,
        queued=counts[Status.QUEUED],
    )


@router.get("/jobs/{job_id}")
def job_page(visit: Ledger, job_id: JobId) -> Response:
    """Show one job."""
    with visit.reading() as repository:
        row = repository.get(job_id)
        job = views.full(row)
        task = _task(job)
        last_seq = row.last_seq
        rows = list(repository.events(job_id, limit=_EVENTS))
        if last_seq > _EVENTS:
            rows += repository.events(job_id, after=max(last_seq - _EVENTS, rows[-1].seq))
        events = [views.event(event) for event in rows]
        attempts = [views.attempt(attempt) for attempt in repository.attempts(job_id)]
        files = [views.artifact(file) for file in repository.artifacts(job_id)]
        curves = repository.metrics(
            job_id, keys=["loss", f"validation/{task.metric}"], max_points=_CURVE_POINTS
        )
    score = charts.curves(curves.stages, f"validation/{task.metric}")
    loss = charts.curves(curves.stages, "loss")
    level = _teacher_level(job, score)
    return _page(
        "job.html",
        caller=visit.caller,
        job=job,
        last_seq=last_seq,
        event_types=_EVENT_TYPES,
        stages=storyline.stages(events, job.progress, active=job.status in _AT_WORK),
        lines=storyline.lines(events)[:_EVENTS],
        attempts=attempts,
        files=sorted(files, key=lambda file: (not file.kind.startswith("student"), file.name)),
        has_report=any(file.name == "report.html" for file in files),
        networks=_networks(job),
        roles=charts.ROLES,
        task=task,
        score=score,
        loss=loss,
        teacher_level=level,
        score_chart=charts.score_chart(score, task.title, level) if score else None,
        loss_chart=charts.loss_chart(loss) if loss else None,
        can_cancel=Status(job.status) in TRANSITIONS[Verb.CANCEL],
        can_retry=Status(job.status) in TRANSITIONS[Verb.RETRY],
        recipe=json.dumps(job.recipe, indent=2, ensure_ascii=False),
    )


def _task(job: Job) -> type[Task]:
    """Return what the job's networks are asked; jobs from before there were others, for classes."""
    asked = job.recipe.get("task")
    return TASKS[str(asked["name"]) if isinstance(asked, dict) else "classification"]


def _teacher_level(job: Job, lines: list[charts.Curve]) -> float | None:
    """Return the teacher's score: on the curve's samples where known, else on the test's."""
    for line in lines:
        if line.role == "teacher":
            return line.means[-1]
    if job.verdict:
        return job.verdict.teacher.score.mean
    return None


def _networks(job: Job) -> list[tuple[str, str, Any]]:
    """Return the rows of the verdict's table: role, words, measures."""
    verdict = job.verdict
    if verdict is None:
        return []
    rows: list[tuple[str, str, Any]] = [
        ("teacher", charts.ROLES["teacher"], verdict.teacher),
        ("student", charts.ROLES["student"], verdict.student),
    ]
    if verdict.baseline:
        rows.append(("baseline", charts.ROLES["baseline"], verdict.baseline))
    rows += [
        (name, charts.ROLES.get(name, name), found) for name, found in verdict.controls.items()
    ]
    return rows


@router.post("/jobs/{job_id}/cancel")
def cancel(visit: Ledger, job_id: JobId, mode: Literal["graceful", "now"] = "graceful") -> Response:
    """Cancel from the page's button, and show the job again."""
    with visit.writing("job.cancel", job_id, {"mode": mode}) as repository:
        repository.request_cancel(job_id, mode)
    return _back(job_id)


@router.post("/jobs/{job_id}/retry")
def retry(
    visit: Ledger,
    job_id: JobId,
    start: Annotated[Literal["checkpoint", "scratch"], Query(alias="from")] = "checkpoint",
) -> Response:
    """Retry from the page's button, and show the job again."""
    with visit.writing("job.retry", job_id, {"from": start}) as repository:
        repository.retry(job_id, start)
    return _back(job_id, BackgroundTask(visit.bell.ring, job_id))


def _back(job_id: str, after: BackgroundTask | None = None) -> Response:
    return RedirectResponse(f"/jobs/{job_id}", 303, background=after)
