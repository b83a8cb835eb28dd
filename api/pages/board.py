"""The board: all jobs, the newest first, filtered by what stands in the address."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Final, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.responses import Response

from api import views
from api.checks import labels_of
from api.dependencies import Ledger
from api.pages import verbs
from api.pages.queue import queue_of, total
from api.pages.rendering import page
from api.pages.sparklines import sparklines
from api.pagination import decode, encode
from jobs.ids import JOB_ID
from jobs.states import Status

router = APIRouter(include_in_schema=False)

_LISTED: Final = 50
_GROUPS: Final[dict[str, list[Status]]] = {
    "active": [Status.QUEUED, Status.RUNNING, Status.PAUSING, Status.PAUSED, Status.CANCELLING],
    "succeeded": [Status.SUCCEEDED],
    "failed": [Status.FAILED],
    "cancelled": [Status.CANCELLED],
}
Text = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]


@router.get("/")
def board(  # noqa: PLR0913, PLR0917 - FastAPI passes by name
    visit: Ledger,
    show: Literal["all", "active", "succeeded", "failed", "cancelled"] = "all",
    q: Text = "",
    method: Text = "",
    teacher: Text = "",
    student: Text = "",
    label: Text = "",
    after: str | None = None,
    done: verbs.Verb | None = None,
    changed: Annotated[int, Query(alias="jobs", ge=0, le=1000)] = 0,
    left: Annotated[int, Query(ge=0, le=1000)] = 0,
) -> Response:
    """Show the jobs."""
    position = decode("jobs", after, JOB_ID) if after else None
    filters = {"method": method, "teacher": teacher, "student": student, "label": label}
    filters = {name: text for name, text in filters.items() if text}
    with visit.reading() as repository:
        listed = repository.list(
            status=_GROUPS.get(show, ()),
            labels=labels_of([label] if label else []),
            method=method or None,
            teacher=teacher or None,
            student=student or None,
            q=q or None,
            limit=_LISTED,
            after=position,
        )
        jobs = [views.summary(job) for job in listed.items]
        counts = views.counts(repository.counts())
        oldest = visit.house.oldest_beat()
        workers = sum(views.takes_jobs(worker, oldest) for worker in repository.workers())
        queue = queue_of(visit, repository, listed.items)
        courses = sparklines(visit.house.drawings, repository, jobs)
    totals = {name: sum(counts[status] for status in group) for name, group in _GROUPS.items()}
    return page(
        "board.html",
        visit,
        jobs=jobs,
        sparklines=courses,
        show=show,
        q=q,
        filters=filters,
        address=partial(_address, {"show": show, "q": q, **filters}),
        told=verbs.told(done, changed, left) if done else None,
        is_first=position is None,
        older=encode("jobs", listed.next_after) if listed.next_after else None,
        totals={"all": sum(counts.values()), **totals},
        workers=workers,
        queued=counts[Status.QUEUED],
        whys=queue.whys,
        waits=total(queue.summary, counts[Status.QUEUED]),
        verbs=verbs.DONE,
    )


def _address(here: Mapping[str, str], **changes: str) -> str:
    """Return the address of the board with other filters than those that are shown."""
    asked = {name: text for name, text in {**here, **changes}.items() if text}
    if asked.get("show") == "all":
        del asked["show"]
    return f"/?{urlencode(asked)}" if asked else "/"
