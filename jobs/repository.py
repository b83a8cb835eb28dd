"""The repository: everything that can be asked of the ledger, and everything that can be told.

It is put together from one file for each voice, and all SQL is in these:
`journal` (how anything is written), `story` (what happened), `leases` (a worker at work), `curves`
(what it tells of curves), `endings` (how attempts end), `sweeping` (what anybody may do), `listing`
(what is found how), `projects` and `keyring` (who may), `audit` (who did); the verbs of clients are
here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import select

from jobs.audit import Audit
from jobs.errors import JobNotFound
from jobs.intake import store
from jobs.keyed import ROWS, JobRow
from jobs.keyring import Keyring
from jobs.leases import Leases
from jobs.listing import Listing
from jobs.moments import clock
from jobs.spec import JobSpec
from jobs.states import Status, Verb, advance
from jobs.story import Story
from jobs.submission import Submission, digest_of
from jobs.sweeping import Sweeping
from jobs.tables import Job
from jobs.tenants import DEFAULT_PROJECT

CancelMode = Literal["graceful", "now"]
RetryFrom = Literal["checkpoint", "scratch"]


class Repository(Leases, Sweeping, Listing, Story, Keyring, Audit):
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

        It is of the project that the repository is bound to, if it is.

        Raises:
            IdempotencyKeyTaken: a job under this key was stored at the same moment.
        """
        submission = Submission.of(
            spec,
            sent,
            idempotency_key=idempotency_key,
            body_sha256=body_sha256,
            project=self._project or DEFAULT_PROJECT,
        )
        (row,) = self.add_all([submission])
        return self.get(row.id)

    def add_all(self, submissions: Sequence[Submission]) -> list[JobRow]:
        """Store jobs, each with its first event, and return their rows.

        Raises:
            IdempotencyKeyTaken: there is one job, and its key is taken.
            sqlalchemy.exc.IntegrityError: there are several, and a key of one is taken.
        """
        return store(self._connection, submissions)

    def find_by_idempotency_key(self, key: str) -> tuple[str, str | None] | None:
        """Return the id of the job made under a key, and the sha256 of the body that made it."""
        digest = digest_of(self._project or DEFAULT_PROJECT, key)
        found = select(Job.id, Job.body_sha256).where(Job.idempotency_key == digest)
        row = self._session.execute(found).one_or_none()
        return (row[0], row[1]) if row else None

    def row(self, job_id: str) -> JobRow:
        """Return a job's row as it is now.

        Raises:
            JobNotFound: there is none.
        """
        row = self._session.execute(ROWS.where(Job.id == job_id)).one_or_none()
        if row is None or self._project not in {None, row.project}:
            raise JobNotFound(job_id)
        return JobRow._make(row)

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
