"""The parts of a job's page that change while it is open, each a template of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from api import views
from api.dependencies import House, Visit
from api.pages import charts, storyline
from api.pages.rendering import TEMPLATES
from api.pages.timeline import timeline
from api.routes.logs import last_lines
from api.routes.report import details_of
from api.schemas import Artifact, Attempt, Event, Job
from jobs.mlflow_client import run_url
from jobs.repository import Repository
from jobs.states import ACTIVE, Status, legal_verbs
from jobs.waiting import Wait
from kdcore.reporting.page import as_quality
from kdcore.task import Task
from kdcore.tasks import TASKS

LIVE: Final = (
    *("head", "verdict", "files", "quality", "stages", "timeline"),
    *("story", "count", "system"),
)
"""Ids of those that are told to an open page; their templates are called so as well."""
PARTS: Final = (*LIVE, "older", "log")
"""All of them: what has happened long ago and what trainers wrote is long, and asked for by whoever
looks at it."""

_EVENTS: Final = 1000
_LOG_LINES: Final = 40
_AT_WORK: Final = {*ACTIVE, Status.QUEUED}


@dataclass(frozen=True, slots=True)
class Told:
    """A job with its story and its files, as one reading of the ledger has found them."""

    job: Job
    task: type[Task]
    events: list[Event]
    """The first of them, which have the plan, and the newest."""
    attempts: list[Attempt]
    files: list[Artifact]
    wait: Wait | None
    """What it waits for, where it waits in the queue."""
    mlflow: str | None
    """Where its run of MLflow is seen."""
    log: list[str]
    """The last lines of its trainers, where they are told."""


def told_of(house: House, repository: Repository, job_id: str, *, names: Sequence[str]) -> Told:
    """Read a job, as far as the parts of these names need it.

    Raises:
        JobNotFound, JobGone: there is no such job, or no more.
    """
    row = repository.get(job_id)
    job = views.full(row)
    rows = list(repository.events(job_id, limit=_EVENTS))
    if row.last_seq > _EVENTS:
        rows += repository.events(job_id, after=max(row.last_seq - _EVENTS, rows[-1].seq))
    is_told = "log" in names or job.failure
    return Told(
        job=job,
        task=_task(job),
        events=[views.event(event) for event in rows],
        attempts=[views.attempt(attempt) for attempt in repository.attempts(job_id)],
        files=[views.artifact(file) for file in repository.artifacts(job_id)],
        wait=repository.wait_of(job_id, house.oldest_beat()),
        log=last_lines(repository, job_id, most=_LOG_LINES) if is_told else [],
        mlflow=run_url(house.settings, repository.run_of(job_id)),
    )


def parts_of(visit: Visit, told: Told, names: Sequence[str] = PARTS) -> dict[str, Markup]:
    """Draw parts; they are the same for everybody who may see the job."""
    job = told.job
    values: dict[str, Any] = {
        "job": job,
        "task": told.task,
        "stages": storyline.stages(told.events, job.progress, active=job.status in _AT_WORK),
        "timeline": timeline(job, told.events, told.attempts),
        "lines": storyline.lines(told.events)[:_EVENTS],
        "attempts": told.attempts,
        "wait": told.wait,
        "mlflow": told.mlflow,
        "machine": next((one.data for one in told.events[::-1] if one.type == "run.started"), None),
        "log": told.log,
        "files": sorted(told.files, key=lambda one: (not one.kind.startswith("student"), one.name)),
        "keyed": visit.caller.author.key_id is not None,
        "has_report": any(file.name == "report.html" for file in told.files),
        "networks": _networks(job),
        "verbs": legal_verbs(Status(job.status)),
        "quality": _quality(visit, job),
    }
    return {
        name: Markup(TEMPLATES.get_template(f"job/{name}.html").render(values))  # noqa: S704  # ours
        for name in names
    }


def _quality(visit: Visit, job: Job) -> Markup | None:
    """Return what the numbers of the verdict hide, as the report has it, while that is kept."""
    if job.verdict is None or job.artifacts_purged_at is not None:
        return None

    def drawn() -> Markup | None:
        told = details_of(visit, job.id)
        return as_quality(told) if told else None

    return visit.house.drawings.of(("quality", job.id, job.attempt), drawn)


def _task(job: Job) -> type[Task]:
    """Return what the job's networks are asked; jobs from before there were others, for classes."""
    asked = job.recipe.get("task")
    return TASKS[str(asked["name"]) if isinstance(asked, dict) else "classification"]


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
