"""Who works, on what, and what waits for them."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from api import views
from api.condition import worker_of
from api.dependencies import Ledger
from api.pages.queue import queue_of, total
from api.pages.rendering import page
from api.schemas import JobSummary
from jobs.states import ACTIVE, Status

router = APIRouter(include_in_schema=False)

SHOWN: Final = 100
"""Jobs that run, and jobs that wait, the next ones first."""


@router.get("/workers")
def workers_page(visit: Ledger) -> Response:
    """Show the workers, what each of them runs, and the jobs that wait."""
    oldest = visit.house.oldest_beat()
    with visit.reading() as repository:
        workers = [worker_of(row, oldest) for row in repository.workers()]
        running = [
            views.summary(job)
            for job in repository.list(status=sorted(ACTIVE), limit=SHOWN, after=None).items
        ]
        queue = queue_of(visit, repository, most=SHOWN)
        waiting = [views.summary(job) for job in queue.jobs]
        counts = views.counts(repository.counts())
    at_work: defaultdict[str, list[JobSummary]] = defaultdict(list)
    for job in running:
        at_work[job.worker or ""].append(job)
    return page(
        "workers.html",
        visit,
        workers=workers,
        at_work=at_work,
        waiting=waiting,
        whys=queue.whys,
        waits=total(queue.summary, counts[Status.QUEUED]),
        counts=counts,
        slots=sum(one.slots for one in workers if one.alive and not one.draining),
        now=datetime.now(UTC),
    )
