"""Why jobs wait, in a few words: what the rows of a list and the line above it say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from api.dependencies import Visit
from api.pages import words
from jobs.repository import Repository
from jobs.states import Status
from jobs.tables import Job
from jobs.waiting import Wait

_COUNTED: Final = 100
"""Jobs that come before one, and are told apart."""
_NEXT: Final = "comes next"
ASKED: Final = 20
"""Jobs of the queue's front, and rows of a page, that are asked why they wait."""


class Why(NamedTuple):
    """Why a job waits."""

    short: str
    told: str
    """In a sentence."""


class Queue(NamedTuple):
    """The front of a project's queue."""

    jobs: Sequence[Job]
    """In the order in which they are claimed."""
    whys: Mapping[str, Why]
    """By the id of the job; of other jobs that were asked as well."""
    summary: str | None
    """How many wait for what; None where nothing waits."""


def queue_of(
    visit: Visit, repository: Repository, rows: Sequence[Job] = (), most: int = ASKED
) -> Queue:
    """Return the first `most` jobs of the queue, and why these wait and the first of `rows`."""
    oldest = visit.house.oldest_beat()
    jobs = repository.upcoming(visit.caller.project, most)
    queued = [job for job in rows if job.status == Status.QUEUED][:ASKED]
    waits = repository.waits_of(jobs[:ASKED], oldest, _COUNTED)
    others = [job for job in queued if job.id not in waits]
    waits |= repository.waits_of(others, oldest, _COUNTED)
    whys = {
        job.id: Why(_short(wait, job), wait.told)
        for job in [*jobs, *queued]
        if (wait := waits.get(job.id))
    }
    return Queue(jobs, whys, _summary([(job, waits[job.id]) for job in jobs if job.id in waits]))


def total(summary: str | None, waiting: int) -> str | None:
    """Return the line above a list, where `waiting` jobs wait in all."""
    if summary is None:
        return None
    of_first = f"of the next {ASKED}, " if waiting > ASKED else ""
    return f"{waiting:,} wait{'s' if waiting == 1 else ''}: {of_first}{summary}"


def _short(wait: Wait, job: Job) -> str:
    match wait.reason:
        case "no_worker":
            return f"waits {_for_a_worker(job)}"
        case "later":
            return f"tried again in {words.duration(wait.seconds)}"
        case "project_limit":
            return "waits for the project's limit"
        case "behind":
            many = f"{wait.ahead}{' or more' if wait.ahead == _COUNTED else ''}"
            return f"{many} come{'s' if wait.ahead == 1 else ''} before it"
        case "next":
            return _NEXT


def _for_a_worker(job: Job) -> str:
    gpus = f" with {job.gpus} GPU{'' if job.gpus == 1 else 's'}" if job.gpus else ""
    return f"for a worker of queue {job.queue}{gpus}"


def _summary(found: Sequence[tuple[Job, Wait]]) -> str | None:
    counted = Counter(_group(wait, job) for job, wait in found)
    told = [
        f"{jobs} {'come next' if group == _NEXT and jobs > 1 else group}"
        for group, jobs in counted.most_common()
    ]
    return ", ".join(told) or None


def _group(wait: Wait, job: Job) -> str:
    match wait.reason:
        case "no_worker":
            return _for_a_worker(job)
        case "later":
            return "to be tried again"
        case "project_limit":
            return "for the project's limit"
        case "behind":
            return "behind others"
        case "next":
            return _NEXT
