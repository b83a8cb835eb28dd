"""A job's words changed, and jobs removed."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from pydantic import create_model
from starlette.background import BackgroundTask
from starlette.responses import Response

from api import telling
from api.answers import problems, send_content
from api.checks import checked
from api.dependencies import JobId, Ledger, SentBody
from api.merge_patch import merged, patch_body
from api.schemas import Job
from jobs.clearing import Clearing
from jobs.spec import JobSpec
from jobs.verbs import Traits
from kdcore.entry import Record

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])


def _as_in_a_spec(name: str) -> Any:
    field = JobSpec.model_fields[name]
    return (field.annotation, field)


JobChange: Final[Any] = create_model(
    "JobChange",
    __base__=Record,
    **{name: _as_in_a_spec(name) for name in ("name", "labels", "priority")},
)
_PATCH: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "name": {"type": ["string", "null"]},
        "labels": {
            "type": ["object", "null"],
            "additionalProperties": {"type": ["string", "null"]},
        },
        "priority": {"type": ["integer", "null"], "minimum": 0, "maximum": 100},
    },
}


@router.patch(
    "",
    operation_id="change_job",
    response_model=Job,
    openapi_extra={
        "requestBody": patch_body(_PATCH, {"name": "keeper", "labels": {"team": "a", "old": None}})
    },
    responses=problems(404, 409, 410, 413, 415, 422),
)
def change_job(visit: Ledger, job_id: JobId, body: SentBody) -> Response:
    """Change a job's name, labels or priority by a merge patch: null takes a label away.

    The priority can be changed while the job is queued or paused. Nothing else of a job changes:
    clone it with other values.
    """
    patch = body.document()

    def decide(old: Traits) -> Traits:
        before: dict[str, Any] = {"labels": old.labels, "priority": old.priority}
        if old.name is not None:
            before["name"] = old.name
        wanted = checked(JobChange, merged(before, patch))
        return Traits(wanted.name, wanted.labels, wanted.priority)

    with visit.writing("job.change", job_id) as repository:
        repository.change(job_id, decide)
        row = repository.row(job_id)
    return send_content(telling.full(row))


@router.delete(
    "",
    operation_id="delete_job",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It is gone, now or before."}} | problems(404, 409),
)
def delete_job(visit: Ledger, job_id: JobId) -> Response:
    """Remove a job that no worker is at: its events, curves, attempts and files.

    Who asks for it afterwards is told 410. Deleting it again is no error.
    """
    with visit.writing("job.delete", job_id) as repository:
        repository.delete(job_id)
    clearing = Clearing(visit.settings, visit.house.database, visit.store)
    # What this leaves behind, should it come to nothing, sweepers clear away.
    return Response(status_code=204, background=BackgroundTask(_clear, clearing))


def _clear(clearing: Clearing) -> None:
    clearing.files()
    clearing.workdirs()
