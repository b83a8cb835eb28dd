"""The repository: everything that can be asked of the ledger, and everything that can be told.

It is put together from one file for each voice, and all SQL is in these:
`journal` (how anything is written), `story` (what happened), `leases` (a worker at work), `endings`
(how attempts end), `sweeping` (what anybody may do), `listing` (what is found how); the verbs of
clients are here.
"""

from collections.abc import Mapping
from typing import Any, Literal

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from jobs.errors import IdempotencyKeyTaken
from jobs.ids import new_job_id
from jobs.leases import Leases
from jobs.listing import Listing
from jobs.moments import clock
from jobs.spec import JobSpec
from jobs.states import Status, Verb, advance
from jobs.story import Story
from jobs.sweeping import Sweeping
from jobs.tables import Job, JobLabel

CancelMode = Literal["graceful", "now"]
RetryFrom = Literal["checkpoint", "scratch"]


class Repository(Leases, Sweeping, Listing, Story):
    """The ledger inside one transaction; it never commits, the transaction's owner does."""

    def add(
        self,
        spec: JobSpec,
        sent: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        body_sha256: str | None = None,
    ) -> Job:
        """Store a job with its first event; `sent` is the spec as the client wrote it.

        Raises:
            IdempotencyKeyTaken: a job under this key was stored at the same moment.
        """
        job = Job(
            id=new_job_id(),
            name=spec.name,
            status=Status.QUEUED.value,
            spec=dict(sent),
            recipe=spec.recipe().model_dump(mode="json"),
            labels=spec.labels,
            method=spec.method.name if spec.method else None,
            teacher=spec.teacher.model.name,
            student=spec.student.model.name,
            priority=spec.priority,
            max_attempts=spec.max_attempts,
            max_runtime_seconds=spec.max_runtime_seconds,
            created_at=clock(),
            run_after=clock(),
            # The submitter rings at once; sweepers ring only if that bell is lost.
            dispatched_at=clock(),
            idempotency_key=idempotency_key,
            body_sha256=body_sha256,
        )
        self._session.add(job)
        try:
            self._session.flush()
        except IntegrityError as error:
            if idempotency_key is None:
                raise
            raise IdempotencyKeyTaken(idempotency_key) from error
        if spec.labels:
            self._session.execute(
                insert(JobLabel),
                [{"job_id": job.id, "key": key, "value": spec.labels[key]} for key in spec.labels],
            )
        self._count({Status.QUEUED: 1})
        self._append(job.id, [("job.queued", {})])
        return self.get(job.id)

    def find_by_idempotency_key(self, key: str) -> tuple[Job, str | None] | None:
        """Return the job that was made under a key, and the sha256 of the body that made it."""
        job = self._session.scalar(select(Job).where(Job.idempotency_key == key))
        return (job, job.body_sha256) if job else None

    def request_cancel(self, job_id: str, mode: CancelMode = "graceful") -> Job:
        """Cancel a job, at once if nobody runs it; otherwise its worker hears of it soon.

        Asking again changes nothing, except from graceful to now.

        Raises:
            IllegalTransition: it has succeeded or failed.
        """
        job = self._locked(job_id)
        if job.status == Status.CANCELLED:
            return job
        target = advance(Status(job.status), Verb.CANCEL)
        if job.cancel_mode in {"now", mode} and job.status == Status.CANCELLING:
            return job
        self._move(
            Verb.CANCEL,
            Status(job.status),
            Job.id == job_id,
            cancel_requested_at=clock(),
            cancel_mode=mode,
        )
        lines = [("job.cancel_requested", {"mode": mode})]
        if target is Status.CANCELLED:
            lines.append(("job.cancelled", {}))
        self._append(job_id, lines)
        return self.get(job_id)

    def retry(self, job_id: str, from_: RetryFrom = "checkpoint") -> Job:
        """Queue a failed or cancelled job again, going on from its last checkpoint or anew.

        Raises:
            IllegalTransition: it has not failed or been cancelled.
        """
        job = self._locked(job_id)
        advance(Status(job.status), Verb.RETRY)
        values: dict[str, Any] = {}
        if from_ == "scratch":
            values = {"resume_floor": job.attempt, "saved_steps": {}, "progress": None}
            for artifact in self.artifacts(job_id):
                self._session.delete(artifact)
        self._move(
            Verb.RETRY,
            Status(job.status),
            Job.id == job_id,
            run_after=clock(),
            dispatched_at=clock(),
            cancel_requested_at=None,
            cancel_mode=None,
            failed_attempts=0,
            stalled_attempts=0,
            retry_floor=job.attempt,
            failure=None,
            **values,
        )
        self._append(job_id, [("job.retried", {"from": from_})])
        return self.get(job_id)
