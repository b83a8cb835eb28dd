"""A new job out of an old one: its spec as it was sent, with a merge patch on it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, cast

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import problems
from api.checks import affordable, checked
from api.dependencies import JobId, Ledger, SentBody, Visit
from api.merge_patch import merged, patch_body
from api.references import resolve
from api.schemas import Job
from api.submitting import IdempotencyKey, created, store_once
from jobs.spec import JobSpec
from jobs.submission import Submission

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])

_NOTHING: Final[dict[str, Any]] = {}
_ANY: Final = {"type": "object", "additionalProperties": True}


@router.post(
    "/clone",
    operation_id="clone_job",
    status_code=201,
    response_model=Job,
    openapi_extra={
        "requestBody": patch_body(_ANY, {"method": {"name": "dkd"}, "gates": None, "seeds": [0, 1]})
    },
    responses={201: created("The new job was stored; `cloned_from` names the old one.")}
    | problems(404, 410, 413, 415, 422),
)
async def clone_job(
    visit: Ledger, job_id: JobId, body: SentBody, idempotency_key: IdempotencyKey = None
) -> Response:
    """Store a new job with the spec of another, as that was sent, and a merge patch on it.

    Errors point into the patched spec. It begins anew: nothing that the other has learned, and no
    change of its name or labels since, comes along.
    """
    patch = body.document() if body.content else _NOTHING

    async def make(
        *, idempotency_key: str | None = None, body_sha256: str | None = None
    ) -> Submission:
        submission = await run_in_threadpool(_patched, visit, job_id, patch)
        return replace(submission, idempotency_key=idempotency_key, body_sha256=body_sha256)

    return await store_once(visit, idempotency_key, {"clone": job_id, "patch": patch}, make)


def _patched(visit: Visit, job_id: str, patch: object) -> Submission:
    with visit.reading() as repository:
        sent = merged(repository.get(job_id).spec, patch)
    spec = checked(JobSpec, sent)
    affordable(spec, visit.settings)
    named = resolve(visit, spec)
    submission = visit.submission(spec, cast("dict[str, object]", sent), recipe=named.recipe)
    return named.noted_in(replace(submission, cloned_from=job_id))
