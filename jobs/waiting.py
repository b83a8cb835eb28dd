"""Why a job waits: what a worker would find that looked for one now.

The answer is for people, and may be another one a moment later: nothing is held while it is found.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, cast

from sqlalchemy import func, or_, select, tuple_

from jobs.journal import LONGEST_WAIT_SECONDS, WAITING, Journal
from jobs.moments import clock
from jobs.states import ACTIVE, Status
from jobs.tables import Job, Project, Worker
from jobs.upcoming import upcoming

Reason = Literal["no_worker", "later", "project_limit", "behind", "next"]

MOST_COUNTED: Final = 1000
"""Of the jobs that come before one; more are not told apart."""


class Wait(NamedTuple):
    """What a job waits for."""

    reason: Reason
    ahead: int
    """Jobs of its project and queue that come before it, `MOST_COUNTED` at most."""
    seconds: float | None
    """Until it may be claimed, where it failed before and is to wait."""
    told: str
    """The reason, in a sentence."""


class Waiting(Journal):
    """What is asked of the queue."""

    def wait_of(self, job_id: str, oldest: datetime) -> Wait | None:
        """Return what a job waits for; None where it does not wait in the queue.

        Workers that were not seen since `oldest` count as gone.

        Raises:
            JobNotFound: there is no such job.
        """
        return self.waits_of([self.get(job_id)], oldest).get(job_id)

    def waits_of(
        self, jobs: Sequence[Job], oldest: datetime, most: int = MOST_COUNTED
    ) -> dict[str, Wait]:
        """Return by id what each of the jobs waits for that waits in the queue; see `wait_of`.

        Of the jobs that come before one, `most` are counted.
        """
        waiting = [job for job in jobs if job.status == Status.QUEUED]
        if not waiting:
            return {}
        now: datetime = self._session.scalars(select(clock())).one()
        workers = self._session.scalars(
            select(Worker).where(Worker.seen_at >= oldest, Worker.draining_since.is_(None))
        ).all()
        return {job.id: self._wait(job, now, workers, most) for job in waiting}

    def upcoming(self, project: str, most: int) -> list[Job]:
        """Return the jobs of a project that are claimed next; see `jobs.upcoming`."""
        return upcoming(self._session, project, most)

    def _wait(self, job: Job, now: datetime, workers: Sequence[Worker], most: int) -> Wait:
        ahead = self._ahead(job, now, most)
        wait = (job.run_after - now).total_seconds()
        fitting = [one for one in workers if _takes(one, job.queue, job.gpus)]
        if not fitting:
            return Wait("no_worker", ahead, None, _nobody(workers, job.queue, job.gpus))
        if wait > 0:
            told = f"It was tried before; the next attempt may begin in {max(wait, 1):.0f} s."
            return Wait("later", ahead, wait, told)
        if full := self._full(job.project):
            told = f"Project {job.project} runs as many jobs as it may ({full})."
            return Wait("project_limit", ahead, None, told)
        if ahead:
            many = f"{ahead} jobs" if ahead > 1 else "1 job"
            more = " or more" if ahead == most else ""
            come = "comes" if ahead == 1 else "come"
            told = f"{many}{more} of its project {come} before it."
            return Wait("behind", ahead, None, told)
        slots = sum(one.slots for one in fitting)
        takers = f"{slots} slot{'' if slots == 1 else 's'} may take it"
        return Wait("next", 0, None, f"It is the next of its project; {takers} once there is room.")

    def _ahead(self, job: Job, now: datetime, most: int) -> int:
        """Count by two stretches of the index that jobs are claimed by.

        Under one condition, with an OR in it, all that wait would be walked over.
        """
        theirs = (WAITING, Job.project == job.project, Job.queue == job.queue)
        # As `DUE`, without a call of the clock for every row.
        wrong = now + timedelta(seconds=LONGEST_WAIT_SECONDS)
        due = or_(Job.run_after <= now, Job.run_after > wrong)
        earlier = tuple_(Job.run_after, Job.id) < tuple_(job.run_after, job.id)
        ahead = 0
        for before in (Job.priority > job.priority, (Job.priority == job.priority) & earlier):
            found = select(Job.id).where(*theirs, due, before).limit(most - ahead).subquery()
            ahead += self._session.scalar(select(func.count()).select_from(found)) or 0
        return ahead

    def _full(self, project: str) -> int | None:
        """Return how many jobs a project runs, where these are as many as it may."""
        most = self._session.scalar(select(Project.max_running).where(Project.name == project))
        theirs = (Job.project == project, Job.status.in_(list(ACTIVE)))
        running = self._session.scalar(select(func.count()).where(*theirs)) or 0
        return running if most is not None and running >= most else None


def _takes(worker: Worker, queue: str, gpus: int) -> bool:
    about: dict[str, Any] = worker.about or {}
    looks_into = cast("list[str] | None", about.get("queues"))  # older workers do not tell
    return (looks_into is None or queue in looks_into) and len(about.get("gpus") or ()) >= gpus


def _nobody(workers: Sequence[Worker], queue: str, gpus: int) -> str:
    if not workers:
        return "No worker is there; `python -m worker` starts one."
    wanted = f"queue {queue}" + (f" with {gpus} GPU{'' if gpus == 1 else 's'}" if gpus else "")
    here = f"{len(workers)} worker{' is' if len(workers) == 1 else 's are'} there"
    return f"{here}, but none takes jobs of {wanted}."
