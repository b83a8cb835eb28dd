"""What a job would take, before anything is queued."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import problems, send
from api.dependencies import Ledger, SentBody, Visit
from api.estimate import Estimate, NetworkSize, seconds_of
from api.examples import SUBMIT_BODY
from api.preflights import known_preflight, known_samples, preflight_of, preflight_question
from api.references import Resolved, resolved
from api.specs import spec_of
from jobs.spec import JobSpec
from jobs.states import Status
from kdcore.extent import extent_of
from kdcore.inspected import Preflight
from kdcore.recipe import Recipe

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "/estimate",
    operation_id="estimate_job",
    response_model=Estimate,
    openapi_extra={"requestBody": SUBMIT_BODY},
    responses=problems(413, 415, 422),
)
async def estimate_job(visit: Ledger, body: SentBody) -> Response:
    """Say what a job would take, and store nothing; a spec that would be refused is refused here.

    Numbers are reckoned from the recipe alone, so a job takes at least so much. Networks of other
    libraries, and data that are not read yet, count as little as they can, until a preflight of the
    same spec, or a report of its data, has found out. The time is that of earlier jobs with the
    same networks, data, method and batches, for as many steps.
    """
    read = await spec_of(visit, body)
    named = await resolved(visit, read.spec)
    return send(await run_in_threadpool(_estimate, visit, read.spec, named))


def _estimate(visit: Visit, spec: JobSpec, named: Resolved) -> Estimate:
    recipe = Recipe.model_validate_json(named.recipe) if named.recipe else spec
    with visit.reading() as repository:
        pace = repository.pace(recipe)
        waiting = repository.counts().get(Status.QUEUED, 0)
        row = repository.known_inspection(preflight_question(spec, named))
    found = preflight_of(row)
    extent = spec.extent
    if not extent.is_counted and found is None:
        extent = extent_of(spec, known_samples(visit, spec))
    steps, is_known = extent.steps, extent.is_counted
    if found is not None and found.steps:
        steps, is_known = found.steps, True
    return Estimate(
        networks=[_size(spec, pointer, least, found) for pointer, least in extent.parameters],
        steps=steps,
        steps_known=is_known,
        memory_bytes=max(extent.memory_bytes, (found and found.device_memory_bytes) or 0),
        disk_bytes=max(extent.disk_bytes, (found and found.disk_bytes) or 0),
        teacher_cache_bytes=found.teacher_cache_bytes if found else None,
        seconds=seconds_of(pace, steps) if pace and is_known else None,
        notes=[*_notes(is_known=is_known, has_pace=pace is not None)],
        preflight=known_preflight(row),
        waiting=waiting,
    )


def _size(spec: JobSpec, pointer: str, least: int, found: Preflight | None) -> NetworkSize:
    """Return what is known of a network: by arithmetic, or since it was built."""
    models = {"/teacher/model": spec.teacher.model, "/student/model": spec.student.model}
    model, form = models.get(pointer), spec.data.form()
    built = found and {"/teacher/model": found.teacher, "/student/model": found.student}
    if built and (told := built.get(pointer)):
        return NetworkSize(pointer=pointer, parameters=told.parameters, flops=told.flops)
    is_reckoned = form is not None and not (model and model.foreign)
    return NetworkSize(
        pointer=pointer,
        parameters=least if is_reckoned else None,
        flops=model.flops(*form) if model and form else None,
    )


def _notes(*, is_known: bool, has_pace: bool) -> Iterator[str]:
    if not is_known:
        yield (
            "how many steps an epoch has is not known before the data is read, so there is no time "
            "either: ask for a preflight or a report of the data, or say training.max_steps"
        )
    elif not has_pace:
        yield "no job like it has succeeded yet, with the same networks, data, method and batches"
