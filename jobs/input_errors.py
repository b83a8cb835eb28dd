"""What can go wrong with files that clients bring; like all of the ledger's errors, without HTTP.

JobError
├── InputNotFound          no such dataset or model
│   └── InputDeleted       there was one, and a client deleted it
├── InputInUse             a job that has not ended needs it
├── FormatRefused          the name does not end in a format that is taken
├── ContentRefused         the content is not what the name says, or not what was announced
├── TooLarge               more bytes than one file, or all files of a project, may have
├── JobInUse               a job that has not ended begins with another job's files
├── JobFileMissing         an earlier job's files are there no more
├── HubRefused             the hub has no such file, or not for us
├── HubUnreachable         the hub does not answer
├── InputMissing           a worker finds it no more in the store
├── InputDamaged           a worker finds other bytes there than were brought
├── UploadNotFound         no such upload in parts
├── UploadIncomplete       parts are missing, or one was damaged
├── InspectionNotFound     no such inspection
├── InspectionsFull        as many inspections of the project wait as may
└── InspectionLost         another worker has it, or its subject was deleted
"""

# ruff: noqa: N818  # the names say what happened, as in `jobs/errors.py`

from collections.abc import Sequence
from datetime import datetime

from jobs.errors import JobError

_SHOWN = 5


def _some(job_ids: Sequence[str]) -> str:
    return ", ".join(job_ids[:_SHOWN]) + (" and more" if len(job_ids) > _SHOWN else "")


class InputNotFound(JobError):
    """There is no such dataset or model."""

    def __init__(self, kind: str, input_id: str) -> None:
        """Name the kind and the id."""
        super().__init__(
            f"there is no {kind} {input_id[:80]!r}", hint=f"GET /v1/{kind}s lists the {kind}s"
        )
        self.code = f"{kind}_not_found"
        self.input_id = input_id


class InputDeleted(InputNotFound):
    """There was such a dataset or model, and a client deleted it."""

    def __init__(self, kind: str, input_id: str, at: datetime) -> None:
        """Name it, and tell when it went."""
        super(InputNotFound, self).__init__(
            f"{kind} {input_id!r} was deleted at {at:%Y-%m-%d %H:%M:%S} UTC",
            hint=f"upload it again: POST /v1/{kind}s",
        )
        self.code = f"{kind}_deleted"
        self.input_id = input_id


class InputInUse(JobError):
    """Jobs that have not ended need it."""

    code = "input_in_use"

    def __init__(self, kind: str, input_id: str, job_ids: Sequence[str]) -> None:
        """Name the jobs, or some of them."""
        super().__init__(
            f"{kind} {input_id} is needed by jobs that have not ended: {_some(job_ids)}",
            hint="delete it when they have ended, or cancel them",
        )


class JobInUse(JobError):
    """Jobs that have not ended begin with its files."""

    code = "job_in_use"

    def __init__(self, job_id: str, job_ids: Sequence[str]) -> None:
        """Name the jobs, or some of them."""
        super().__init__(
            f"the files of {job_id} are needed by jobs that have not ended: {_some(job_ids)}",
            hint="delete it when they have ended, or cancel them",
        )


class JobFileMissing(JobError):
    """An earlier job was deleted, or its files were removed."""

    code = "job_files_gone"

    def __init__(self, job_id: str) -> None:
        """Name the job."""
        super().__init__(
            f"{job_id[:80]} has no files any more: it was deleted, or kept for as long as is set",
            hint="run it again (POST …/retry or …/clone), and name the new one",
        )


class FormatRefused(JobError):
    """The name does not end in a format that is taken."""

    code = "format_not_taken"


class ContentRefused(JobError):
    """The content is not what the name says (`content_mismatch`), or other than announced."""

    code = "content_mismatch"

    def __init__(self, message: str, *, code: str = code, hint: str | None = None) -> None:
        """Say what was found and what was expected."""
        super().__init__(message, hint=hint)
        self.code = code


class TooLarge(JobError):
    """More bytes than one file, or all files of a project, may have."""

    code = "upload_too_large"

    def __init__(self, message: str, *, code: str = code, hint: str | None = None) -> None:
        """Say how many there are and how many there may be."""
        super().__init__(message, hint=hint)
        self.code = code


_AGAIN = "upload the file again, and post the spec with its new reference (POST …/clone patches it)"


class InputMissing(JobError):
    """A worker finds a file no more that a job names."""

    code = "input_missing"

    def __init__(self, name: str, sha256: str) -> None:
        """Name the file."""
        super().__init__(
            f"{name}, sha256 {sha256}, is not in the store any more: it was deleted, or lost there",
            hint=_AGAIN,
        )


class HubRefused(JobError):
    """The hub has no such file, or does not give it to us."""

    code = "hub_refused"

    def __init__(self, name: str, told: str) -> None:
        """Name the file, and what the hub said."""
        super().__init__(
            f"{name} of the hub cannot be had: {told}",
            hint="name a public repository with config.json and one model.safetensors, at a commit"
            " that it has, or have STILLHOUSE_HUB_TOKEN set on the workers",
        )


class HubUnreachable(JobError):
    """The hub does not answer."""

    code = "hub_unreachable"

    def __init__(self, name: str, told: str) -> None:
        """Name the file, and what happened."""
        super().__init__(
            f"{name} of the hub could not be fetched: {told}",
            hint="let workers reach STILLHOUSE_HUB_URL, or upload the folder as a zip",
        )


class InputDamaged(JobError):
    """A worker finds other bytes in the store than a client has brought."""

    code = "input_damaged"

    def __init__(self, name: str, sha256: str) -> None:
        """Name the file."""
        super().__init__(
            f"{name} was damaged in the store; expected sha256 {sha256}, as uploaded", hint=_AGAIN
        )


class UploadNotFound(JobError):
    """There is no such upload; it may have expired."""

    code = "upload_not_found"

    def __init__(self, upload_id: str) -> None:
        """Name the upload."""
        super().__init__(
            f"there is no upload {upload_id[:80]!r}",
            hint="begin another with POST /v1/uploads; one that is left alone expires",
        )


class UploadIncomplete(JobError):
    """Parts of an upload are missing or damaged."""

    code = "upload_incomplete"

    def __init__(self, upload_id: str, numbers: Sequence[int], what: str = "lacks") -> None:
        """Name the parts, or some of them."""
        named = ", ".join(map(str, numbers[:_SHOWN])) + (" …" if len(numbers) > _SHOWN else "")
        super().__init__(
            f"upload {upload_id[:80]} {what} part {named}",
            hint="PUT …/parts/{number} sends a part; then complete it again",
        )


class InspectionNotFound(JobError):
    """There is no such inspection; it may have been forgotten."""

    code = "inspection_not_found"

    def __init__(self, inspection_id: str) -> None:
        """Name it."""
        super().__init__(
            f"there is no inspection {inspection_id[:80]!r}",
            hint="ask the same again: what nobody asks for is forgotten, and goes with its file",
        )


class InspectionsFull(JobError):
    """As many inspections of the project wait as may."""

    code = "inspections_full"

    def __init__(self, most: int) -> None:
        """Say how many may."""
        super().__init__(
            f"{most} inspections of the project wait already; expected fewer",
            hint="ask again when some of them have ended; workers answer them one by one",
        )


class InspectionLost(JobError):
    """Another worker has it by now, or its subject was deleted."""

    code = "inspection_lost"

    def __init__(self, inspection_id: str, attempt: int) -> None:
        """Name the attempt."""
        super().__init__(f"attempt {attempt} of {inspection_id} does not own it any more")
