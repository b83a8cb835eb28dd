"""What can go wrong in the ledger; none of these classes knows HTTP.

JobError
├── JobNotFound            no such job
│   └── JobDeleted         there was one, and a client deleted it
├── JobsNotFound           several were asked for, and not all are there
├── ProjectNotFound        no such project
├── ProjectExists          the name is taken
├── ProjectFull            the project has as many jobs waiting as it may
├── KeyNotFound            no such API key
├── WorkerNotFound         no such worker
├── IllegalTransition      the verb does not fit the job's status
├── IdempotencyKeyTaken    another job was made under this key at the same moment
├── LeaseLost              the writer's fencing token is stale: another attempt owns the job
├── ArtifactNotFound       no such artifact, or its content is gone
├── ArtifactsPurged        the job's files were removed, as the retention time says
├── ArtifactRefused        a bad name, or content that does not match its digest
├── StoreFull              the artifact store has no room left
├── StoreUnavailable       the artifact store does not answer
│   └── StoreMisconfigured it refuses, and will until somebody changes something
├── SchemaOutOfDate        the database has another schema than this program
├── Unfit                  this machine cannot run trainers
└── MlflowMissing          the client of MLflow is not installed
"""

# ruff: noqa: N818  # the names say what happened, as the routes and the glossary do

from collections.abc import Sequence
from datetime import datetime


class JobError(Exception):
    """Something the ledger refuses or misses; `code` is for programs, `hint` is the way out."""

    code = "job_error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep the message and, where there is one, the way out."""
        super().__init__(message)
        self.hint = hint


class JobNotFound(JobError):
    """There is no job with this id."""

    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        """Name the job."""
        super().__init__(f"there is no job {job_id!r}", hint="GET /v1/jobs lists the jobs")
        self.job_id = job_id


class JobsNotFound(JobError):
    """Several jobs were asked for, and some of them are not there."""

    code = "job_not_found"

    def __init__(self, missing: Sequence[JobNotFound]) -> None:
        """Say of each what is to be said of it alone."""
        super().__init__("; ".join(map(str, missing)), hint=missing[0].hint)
        self.missing = tuple(missing)


class ProjectNotFound(JobError):
    """There is no project of this name."""

    code = "project_not_found"

    def __init__(self, name: str) -> None:
        """Name the project."""
        super().__init__(f"there is no project {name[:80]!r}", hint="GET /v1/projects lists them")


class ProjectExists(JobError):
    """There is a project of this name already."""

    code = "project_exists"

    def __init__(self, name: str) -> None:
        """Name the project."""
        super().__init__(f"there is a project {name!r} already", hint="choose another name")


class ProjectFull(JobError):
    """The project has as many jobs waiting as it may."""

    code = "project_full"

    def __init__(self, name: str, waiting: int, most: int) -> None:
        """Say how many wait, and how many may."""
        super().__init__(
            f"project {name} has {waiting} jobs waiting; expected no more than {most}",
            hint="send it again when some of them have started, or have the limit raised",
        )


class KeyNotFound(JobError):
    """There is no API key with this id."""

    code = "key_not_found"

    def __init__(self, key_id: str) -> None:
        """Name the key's id."""
        super().__init__(f"there is no key {key_id[:80]!r}", hint="GET /v1/keys lists them")


class WorkerNotFound(JobError):
    """There is no worker with this id, or it has ended."""

    code = "worker_not_found"

    def __init__(self, worker_id: str) -> None:
        """Name the worker."""
        super().__init__(
            f"there is no worker {worker_id[:128]!r}; it may have ended",
            hint="GET /v1/workers lists them",
        )


class JobDeleted(JobNotFound):
    """There was a job with this id, and a client deleted it."""

    code = "job_deleted"

    def __init__(self, job_id: str, at: datetime) -> None:
        """Name the job, and tell when it went."""
        super(JobNotFound, self).__init__(
            f"job {job_id!r} was deleted at {at:%Y-%m-%d %H:%M:%S} UTC",
            hint="GET /v1/jobs lists the jobs that there are",
        )
        self.job_id = job_id


class IllegalTransition(JobError):
    """The verb does not fit the status; `legal` names the verbs that do."""

    code = "illegal_transition"

    def __init__(self, status: str, verb: str, legal: Sequence[str]) -> None:
        """Name the status, the verb, and the verbs that would fit."""
        ways = ", ".join(legal) or "none"
        super().__init__(f"a job that is {status} cannot {verb}", hint=f"legal now: {ways}")
        self.status = status
        self.verb = verb
        self.legal = tuple(legal)


class IdempotencyKeyTaken(JobError):
    """A job under this idempotency key was committed while this one was being written."""

    code = "idempotency_key_taken"

    def __init__(self, key: str) -> None:
        """Name the key."""
        super().__init__(
            f"a job was made under the idempotency key {key!r} at the same moment",
            hint="read it with find_by_idempotency_key in a new transaction",
        )
        self.key = key


class LeaseLost(JobError):
    """The write carried a stale fencing token; nothing was changed."""

    code = "lease_lost"

    def __init__(self, job_id: str, token: int) -> None:
        """Name the job and the stale token."""
        super().__init__(f"attempt {token} no longer owns job {job_id}; nothing was written")
        self.job_id = job_id
        self.token = token


class ArtifactNotFound(JobError):
    """The job has no such artifact, or its content is no longer in the store."""

    code = "artifact_not_found"

    def __init__(self, name: str, *, gone: bool = False) -> None:
        """Name the artifact; `gone` tells that it once was there."""
        what = "is recorded, but its content is gone" if gone else "does not exist"
        super().__init__(f"artifact {name!r} {what}", hint="GET …/artifacts lists what there is")
        self.name = name
        self.gone = gone


class ArtifactsPurged(JobError):
    """The job ended longer ago than files are kept; its verdict and its curves stay."""

    code = "artifacts_purged"

    def __init__(
        self, job_id: str, at: datetime, *, hint: str = "POST …/clone makes them anew"
    ) -> None:
        """Name the job, and tell when its files went."""
        super().__init__(
            f"the files of job {job_id!r} were removed at {at:%Y-%m-%d %H:%M:%S} UTC, since it"
            " ended longer ago than this server keeps files",
            hint=hint,
        )
        self.job_id = job_id


class ArtifactRefused(JobError):
    """The name is not allowed, or the content does not match the announced digest or size."""

    code = "artifact_refused"


class StoreFull(JobError):
    """The artifact store (or the disk under it) has no room left; nothing half-written remains."""

    code = "disk_full"


class StoreUnavailable(JobError):
    """The artifact store does not answer now; what was asked may be asked again."""

    code = "store_unavailable"


class StoreMisconfigured(StoreUnavailable):
    """The artifact store refuses us: wrong credentials, no such bucket, a missing package."""

    code = "store_misconfigured"


class SchemaOutOfDate(JobError):
    """The database's schema is not the one that this program was written for."""

    code = "schema_out_of_date"


class Unfit(JobError):
    """This machine cannot run trainers."""

    code = "unfit"


class MlflowMissing(JobError):
    """Jobs are to be mirrored in MLflow, and its client is not installed."""

    code = "mlflow_missing"
