"""A fine-tuning job on its way in: read, turned into a spec, stored as any other job."""

from __future__ import annotations

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response

from api.answers import send
from api.bodies import Body
from api.checks import affordable, checked
from api.dependencies import Visit
from api.facade.asking import NewFineTuningJob
from api.facade.data import name_data
from api.facade.draft import drafted, refused
from api.facade.telling import fine_tuning_job
from api.references import resolve
from api.repeating import repeat_of, store_repeatable
from api.specs import read_spec
from api.submitting import store, store_once
from jobs.input_errors import InputDeleted, InputNotFound
from jobs.keyed import JobRow
from jobs.submission import Submission


async def post(
    visit: Visit, body: Body, headers: Headers, arrived: float, key: str | None
) -> Response:
    """Store what a body asks for, and tell it.

    Raises:
        PayloadProblem: it cannot be meant, or cannot be run.
        ProjectFull: the project may not have another job waiting.
    """
    document = await run_in_threadpool(body.document)

    async def make(
        *, idempotency_key: str | None = None, body_sha256: str | None = None
    ) -> Submission:
        return await run_in_threadpool(_submission, visit, document, idempotency_key, body_sha256)

    if key is not None:
        return await store_once(visit, key, document, make, as_fine_tuning_job)
    repeat = repeat_of(headers, arrived)
    if repeat is not None:
        return await store_repeatable(visit, repeat, document, make, as_fine_tuning_job)
    return await store(visit, await make(), as_fine_tuning_job)


def as_fine_tuning_job(
    row: JobRow, *, replayed: bool = False, after: BackgroundTask | None = None
) -> Response:
    """Return the answer to a new job."""
    headers = {"Idempotent-Replayed": "true"} if replayed else None
    return send(fine_tuning_job(row), headers=headers, after=after)


def _submission(
    visit: Visit, document: object, key: str | None, body_sha256: str | None
) -> Submission:
    """Return the job that a document asks for."""
    asked = checked(NewFineTuningJob, document)
    draft = drafted(asked)

    def file_name(reference: str) -> str:
        kind, _, file_id = reference.partition(":")
        with visit.reading() as repository:
            try:
                return repository.input(kind, file_id).name
            except InputNotFound as error:
                code = "file_deleted" if isinstance(error, InputDeleted) else "file_not_found"
                raise refused("/training_file", code, str(error), error.hint) from None

    name_data(draft, asked.training_file, asked.validation_file, file_name)
    with draft.blaming():
        read = read_spec(draft.fields)
        affordable(read.spec, visit.settings)
        named = resolve(visit, read.spec)
    submission = visit.submission(
        read.spec,
        draft.fields,
        idempotency_key=key,
        body_sha256=body_sha256,
        recipe=named.recipe or read.recipe,
    )
    return named.noted_in(submission)
