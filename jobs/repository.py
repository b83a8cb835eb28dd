"""The repository: everything that can be asked of the ledger, and everything that can be told.

It is put together from one file for each voice, and all SQL is in these: `journal` (how anything is
written), `story` (what happened), `leases` (a worker at work), `curves` (what it tells of curves),
`endings` (how attempts end), `sweeping` (what anybody may do), `listing` (what is found how),
`experience` (what earlier jobs tell), `verbs` (what clients want), `retention` (what is kept no
more), `projects` and `keyring` (who may), `audit` (who did), `operations` (what operators ask for),
`waiting` (why a job does), `inputs` and `uploads` (what clients bring), `inspections` (what is
found out of that), `sweeps` (many jobs of one spec), `webhooks` and `webhook_sending` (who is
told), `mlflow_runs` (what MLflow has of jobs); new jobs come in here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from jobs.audit import Audit
from jobs.experience import Experience
from jobs.inspections import Inspections
from jobs.intake import store
from jobs.keyed import ROWS, JobRow
from jobs.keyring import Keyring
from jobs.leases import Leases
from jobs.mlflow_runs import MlflowRuns
from jobs.operations import Operations
from jobs.repeats import Repeat, standing_for
from jobs.retention import Retention
from jobs.spec import JobSpec
from jobs.submission import Submission, digest_of
from jobs.sweeping import Sweeping
from jobs.sweeps import Sweeps
from jobs.tables import Job
from jobs.tenants import DEFAULT_PROJECT
from jobs.tombstones import missing
from jobs.uploads import Uploads
from jobs.waiting import Waiting
from jobs.webhook_sending import WebhookSending


class Repository(
    Leases,
    Sweeping,
    Experience,
    Sweeps,
    Retention,
    Keyring,
    Audit,
    Operations,
    Waiting,
    Uploads,
    Inspections,
    WebhookSending,
    MlflowRuns,
):
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

    def find_made(self, key: str, repeat: Repeat) -> JobRow | None:
        """Return the job that a request has made already, which came under no key of its own."""
        digest = digest_of(self._project or DEFAULT_PROJECT, key)
        job_id = standing_for(self._connection, str(digest), repeat)
        return self.row(job_id) if job_id else None

    def rows(self, job_ids: Sequence[str]) -> list[JobRow]:
        """Return the rows of jobs in the order of their ids, without those that are not there."""
        found = self._session.execute(ROWS.where(Job.id.in_(job_ids)))
        rows = {row.id: JobRow._make(row) for row in found}
        there = [rows[job_id] for job_id in job_ids if job_id in rows]
        return [row for row in there if self._project in {None, row.project}]

    def row(self, job_id: str) -> JobRow:
        """Return a job's row as it is now.

        Raises:
            JobNotFound: there is none; JobDeleted where there was one.
        """
        row = self._session.execute(ROWS.where(Job.id == job_id)).one_or_none()
        if row is None or self._project not in {None, row.project}:
            raise missing(self._connection, job_id, self._project)
        return JobRow._make(row)
