"""Verbs as buttons: of one job on its page, of all that were ticked on the board."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Annotated, Final, Literal
from urllib.parse import parse_qs, urlencode

from fastapi import APIRouter, Query
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from api import views
from api.dependencies import JobId, Ledger, SentBody, Visit
from api.pages.fields import fields_of
from api.pages.rendering import page
from api.schemas import JobSummary
from jobs.errors import JobError, JobNotFound
from jobs.ids import JOB_ID
from jobs.verbs import CancelMode

router = APIRouter(include_in_schema=False)

Verb = Literal["pause", "resume", "cancel", "retry", "delete"]
DONE: Final[dict[Verb, str]] = {
    "pause": "paused",
    "resume": "resumed",
    "cancel": "cancelled",
    "retry": "queued again",
    "delete": "deleted",
}
"""What can be done to many jobs, and how it is told."""
Start = Literal["checkpoint", "scratch"]


@router.post("/jobs/{job_id}/{verb}")
def one(
    visit: Ledger,
    job_id: JobId,
    verb: Literal["pause", "resume", "cancel", "retry"],
    mode: CancelMode = "graceful",
    start: Annotated[Start, Query(alias="from")] = "checkpoint",
) -> Response:
    """Do it, and show the job again."""
    _do(visit, verb, job_id, mode, start)
    return _back(visit, f"/jobs/{job_id}", verb, [job_id])


@router.post("/")
async def many(visit: Ledger, body: SentBody) -> Response:
    """Do it to all that it fits, and show the board again with how many these were.

    What cannot be undone is asked for twice.
    """
    form = fields_of(body)
    query = parse_qs(form.get("here", [""])[0].removeprefix("/").removeprefix("?"))
    verb: Verb | None = next((one for one in DONE if form.get("verb") == [one]), None)
    done: list[str] = []
    if verb is not None:
        ids = [one for one in form.get("id", []) if JOB_ID.fullmatch(one)]
        if verb == "delete" and ids and form.get("sure") != ["yes"]:
            return await run_in_threadpool(_asked, visit, ids, f"/?{urlencode(query, doseq=True)}")
        done = await run_in_threadpool(_fitted, visit, verb, ids)
        query |= {"done": [verb], "jobs": [str(len(done))], "left": [str(len(ids) - len(done))]}
    return _back(visit, f"/?{urlencode(query, doseq=True)}", verb, done)


def told(verb: Verb, jobs: int, left: int) -> str:
    """Say in words what was done to how many."""
    words = f"{jobs} job{'' if jobs == 1 else 's'} {DONE[verb]}"
    return f"{words}; {left} could not be, as they are." if left else f"{words}."


def _asked(visit: Visit, ids: Sequence[str], here: str) -> Response:
    """Show which jobs would be deleted; those that are gone already are left out."""
    jobs: list[JobSummary] = []
    with visit.reading() as repository:
        for job_id in ids:
            with contextlib.suppress(JobNotFound):
                jobs.append(views.summary(repository.get(job_id)))
    return page("confirm.html", visit, jobs=jobs, here=here)


def _fitted(visit: Visit, verb: Verb, ids: Sequence[str]) -> list[str]:
    """Do it, and return the jobs that it fitted."""
    done: list[str] = []
    for job_id in ids:
        try:
            _do(visit, verb, job_id, "graceful", "checkpoint")
        except JobError:
            continue
        done.append(job_id)
    return done


def _do(visit: Visit, verb: Verb, job_id: str, mode: CancelMode, start: Start) -> None:
    details = {"cancel": {"mode": mode}, "retry": {"from": start}}.get(verb)
    with visit.writing(f"job.{verb}", job_id, details) as repository:
        match verb:
            case "pause":
                repository.pause(job_id)
            case "resume":
                repository.resume(job_id)
            case "cancel":
                repository.request_cancel(job_id, mode)
            case "retry":
                repository.retry(job_id, start)
            case "delete":
                repository.delete(job_id)


def _back(visit: Visit, where: str, verb: Verb | None, job_ids: Sequence[str]) -> Response:
    """Lead to a page, and ring for what is in the queue again."""

    def ring() -> None:
        for job_id in job_ids:
            visit.bell.ring(job_id)

    after = BackgroundTask(ring) if verb in {"resume", "retry"} else None
    return RedirectResponse(where, 303, background=after)
