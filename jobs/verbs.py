"""What clients want of a job: cancel, pause, resume, retry, change its words, delete.

Each may be asked again: what is so already is no error, and nothing is written twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, insert, select, update

from jobs.errors import ArtifactsPurged, IllegalTransition, JobDeleted
from jobs.job_files import require_unneeded
from jobs.journal import count
from jobs.mirroring import wake_run
from jobs.moments import clock
from jobs.states import FULFILLED, Status, Verb, advance, legal_verbs
from jobs.story import Story
from jobs.tables import Artifact, Event, Job, JobLabel
from jobs.tombstones import DeletedJob

CancelMode = Literal["graceful", "now"]
RetryFrom = Literal["checkpoint", "scratch"]
_RETRIED = "job.retried"


@dataclass(frozen=True, slots=True)
class Traits:
    """What may be changed of a job after it was submitted."""

    name: str | None
    labels: dict[str, str]
    priority: int


class Verbs(Story):
    """The client's side of the gate."""

    def request_cancel(self, job_id: str, mode: CancelMode = "graceful") -> Job:
        """Cancel a job, at once if nobody runs it; otherwise its worker hears of it soon.

        Asking again changes nothing, except from graceful to now.

        Raises:
            IllegalTransition: it has succeeded or failed.
        """
        job = self._locked(job_id)
        if job.status in FULFILLED[Verb.CANCEL]:
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

    def pause(self, job_id: str) -> Job:
        """Pause a job, at once if nobody runs it; otherwise its trainer saves and stops soon.

        Raises:
            IllegalTransition: it has ended, or is being cancelled.
        """
        job = self._locked(job_id)
        status = Status(job.status)
        if status in FULFILLED[Verb.PAUSE]:
            return job
        target = advance(status, Verb.PAUSE)
        self._move(Verb.PAUSE, status, Job.id == job_id)
        lines = [("job.pause_requested", dict[str, Any]())]
        if target is Status.PAUSED:
            lines.append(("job.paused", {}))
        self._append(job_id, lines)
        return self.get(job_id)

    def resume(self, job_id: str) -> Job:
        """Queue a paused job again; it goes on from its checkpoint.

        A job that is still pausing runs on. If its worker has heard of the pause already, it lets
        go all the same, and the job is in the queue again at once.

        Raises:
            IllegalTransition: it has ended, or is being cancelled.
        """
        job = self._locked(job_id)
        status = Status(job.status)
        if status in FULFILLED[Verb.RESUME]:
            return job
        advance(status, Verb.RESUME)
        waits = {"run_after": clock(), "dispatched_at": clock()}
        values = waits if status is Status.PAUSED else {}
        self._move(Verb.RESUME, status, Job.id == job_id, **values)
        self._append(job_id, [("job.resumed", {})])
        return self.get(job_id)

    def retry(
        self,
        job_id: str,
        from_: RetryFrom = "checkpoint",
        *,
        max_runtime_seconds: int | None = None,
    ) -> Job:
        """Queue a failed or cancelled job again, going on from its last checkpoint or anew.

        It has its attempts and its time again, and where it is given, another limit of that time.
        Asking for the same again while the job is on its way changes nothing.

        Raises:
            IllegalTransition: it has not failed or been cancelled.
            ArtifactsPurged: there is no checkpoint any more; from scratch it can be retried.
        """
        job = self._locked(job_id)
        status = Status(job.status)
        asked: dict[str, Any] = {"from": from_}
        if max_runtime_seconds is not None:
            asked["max_runtime_seconds"] = max_runtime_seconds
        if status in {Status.QUEUED, Status.RUNNING} and self._last_retry(job_id) == asked:
            return job
        advance(status, Verb.RETRY)
        values: dict[str, Any] = {}
        if max_runtime_seconds is not None:
            values["max_runtime_seconds"] = max_runtime_seconds
        if from_ == "scratch":
            values |= {"resume_floor": job.attempt, "saved_steps": {}, "progress": None}
            values["artifacts_purged_at"] = None
            self._discard(Artifact.job_id == job_id)
        elif job.artifacts_purged_at is not None:
            hint = 'POST …/retry with {"from": "scratch"} begins anew'
            raise ArtifactsPurged(job_id, job.artifacts_purged_at, hint=hint)
        self._move(
            Verb.RETRY,
            status,
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
        self._append(job_id, [(_RETRIED, asked)])
        return self.get(job_id)

    def _last_retry(self, job_id: str) -> dict[str, Any] | None:
        retries = select(Event.data).where(Event.job_id == job_id, Event.type == _RETRIED)
        return self._session.scalar(retries.order_by(Event.seq.desc()).limit(1))

    def change(self, job_id: str, decide: Callable[[Traits], Traits]) -> Job:
        """Give a job other traits; `decide` is told those that it has.

        Nobody else's change comes between. The priority says something only while the job waits.

        Raises:
            IllegalTransition: another priority for a job that is neither queued nor paused.
        """
        job = self._locked(job_id)
        old = Traits(job.name, job.labels, job.priority)
        new = decide(old)
        if new == old:
            return job
        if new.priority != old.priority and job.status not in {Status.QUEUED, Status.PAUSED}:
            legal = legal_verbs(Status(job.status))
            raise IllegalTransition(job.status, "change its priority", legal)
        values = {
            name: value
            for name in ("name", "labels", "priority")
            if (value := getattr(new, name)) != getattr(old, name)
        }
        self._connection.execute(update(Job).where(Job.id == job_id).values(**values))
        if "labels" in values:
            self._connection.execute(delete(JobLabel).where(JobLabel.job_id == job_id))
            owned = {"job_id": job_id, "project": job.project}
            rows = [{**owned, "key": k, "value": v} for k, v in new.labels.items()]
            if rows:
                self._connection.execute(insert(JobLabel), rows)
        self._append(job_id, [("job.changed", values)])
        return self.get(job_id)

    def delete(self, job_id: str) -> None:
        """Remove a job that nobody runs, and all that is known of it; files go after the commit.

        Raises:
            JobNotFound: there never was one; for one that was deleted before, nothing is done.
            IllegalTransition: a worker is at it.
            JobInUse: jobs that have not ended begin with its files.
        """
        try:
            job = self._locked(job_id)
        except JobDeleted:
            return
        status = Status(job.status)
        advance(status, Verb.DELETE)
        require_unneeded(self._session, job_id)
        self._discard(Artifact.job_id == job_id)
        # The other tables' rows go with it.
        self._connection.execute(delete(Job).where(Job.id == job_id))
        count(self._connection, {(job.project, status): -1})
        tombstone = {"id": job_id, "project": job.project, "deleted_at": clock()}
        self._connection.execute(insert(DeletedJob).values(**tombstone))
        wake_run(self._connection, job_id)
