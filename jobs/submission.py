"""A spec on its way into the ledger: everything that its row will hold, worked out beforehand."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from jobs.database import Written, dump_json
from jobs.keyed import JobRow
from jobs.repeats import Repeat
from jobs.spec import JobSpec
from jobs.states import Status
from jobs.tenants import DEFAULT_PROJECT
from kdcore.recipe import Recipe

_NOTHING: Final = Written("{}")
_OF_THE_RUN: Final = set(Recipe.model_fields)


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that is not stored yet."""

    spec: JobSpec
    sent: Written
    """The spec as the client wrote it."""
    recipe: Written
    """The resolved form of the run alone: a later default does not change an old job."""
    idempotency_key: str | None = None
    body_sha256: str | None = None
    repeat: Repeat | None = None
    """Set where the key is made of the request: it stands for the newest of its jobs alone."""
    project: str = DEFAULT_PROJECT
    submitted_by: str | None = None
    """Id of the key that it was posted with."""
    cloned_from: str | None = None
    """The job whose spec this one began with."""
    inputs: tuple[str, ...] = ()
    """Ids of the uploaded files that it names."""
    files: tuple[tuple[str, str], ...] = ()
    """The files of earlier jobs that it names, by job and name."""
    origin: Written = _NOTHING
    """What its first event tells of where it came from."""

    @classmethod
    def of(  # noqa: PLR0913  # all that is kept of it, by name
        cls,
        spec: JobSpec,
        sent: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        body_sha256: str | None = None,
        recipe: Written | None = None,
        project: str = DEFAULT_PROJECT,
        submitted_by: str | None = None,
    ) -> Self:
        """Work out what will be stored; a spec's dump is a recipe with all its defaults."""
        recipe = recipe or Written(spec.model_dump_json(include=_OF_THE_RUN))
        text = dump_json(dict(sent))
        return cls(
            spec,
            text,
            recipe,
            idempotency_key,
            body_sha256,
            project=project,
            submitted_by=submitted_by,
        )

    @property
    def key_digest(self) -> str | None:
        """What is kept of the idempotency key, if there is one."""
        return digest_of(self.project, self.idempotency_key)

    def row(self, job_id: str, moment: str | datetime) -> JobRow:
        """Return the row of the new job."""
        spec = self.spec
        return JobRow(
            id=job_id,
            project=self.project,
            name=spec.name,
            labels=dump_json(spec.labels),
            status=Status.QUEUED.value,
            phase=None,
            method=spec.method.name if spec.method else None,
            teacher=spec.teacher.model.name,
            student=spec.student.model.name,
            progress=None,
            attempt=0,
            max_attempts=spec.max_attempts,
            worker=None,
            priority=spec.priority,
            created_at=moment,
            started_at=None,
            finished_at=None,
            cancel_mode=None,
            gates_passed=None,
            failure=None,
            verdict=None,
            spec=self.sent,
            recipe=self.recipe,
            max_runtime_seconds=spec.max_runtime_seconds,
            cloned_from=self.cloned_from,
            artifacts_purged_at=None,
        )

    def stored(self, row: JobRow) -> dict[str, Any]:
        """Return the columns of the new job that are not empty."""
        return {
            "id": row.id,
            "project": row.project,
            "submitted_by": self.submitted_by,
            "name": row.name,
            "labels": Written(row.labels),
            "status": row.status,
            "method": row.method,
            "teacher": row.teacher,
            "student": row.student,
            "max_attempts": row.max_attempts,
            "max_runtime_seconds": row.max_runtime_seconds,
            "cloned_from": row.cloned_from,
            "priority": row.priority,
            "queue": self.spec.resources.queue,
            "gpus": self.spec.resources.gpus or 0,
            "spec": self.sent,
            "recipe": self.recipe,
            "created_at": row.created_at,
            "run_after": row.created_at,
            # The submitter rings at once; sweepers ring only if that bell is lost.
            "dispatched_at": row.created_at,
            "attempt": 0,
            "failed_attempts": 0,
            "stalled_attempts": 0,
            "saved_steps": _NOTHING,
            "progressed_attempt": 0,
            "resume_floor": 0,
            "retry_floor": 0,
            "last_seq": 1,
            "idempotency_key": self.key_digest,
            "body_sha256": self.body_sha256,
        }


def digest_of(project: str, idempotency_key: str | None) -> str | None:
    """Return what is kept of an idempotency key: a project's keys are its own."""
    if idempotency_key is None:
        return None
    return hashlib.sha256(f"{project}\n{idempotency_key}".encode()).hexdigest()
