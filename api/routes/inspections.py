"""Looks at data, models and specs before a job, each by a worker."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import problems
from api.checks import body_schema, checked
from api.dependencies import Ledger, SentBody, Visit
from api.examples import SUBMIT_BODY
from api.inspections import HTML, Again, Inspection, ReportOptions, Wait, asked, told
from api.looking import layers_question, report_question
from api.preflights import preflight_question
from api.references import resolved
from api.specs import spec_of
from jobs import tables
from jobs.ids import INSPECTION_ID
from jobs.input_errors import InspectionNotFound

router = APIRouter(prefix="/v1", tags=["inspections"])

_DatasetId = Annotated[str, Path(examples=["ds_01kaz3x2mcf4t6v8y0r2q4s6u8"])]
_ModelId = Annotated[str, Path(examples=["mdl_01kaz3x2mcf4t6v8y0r2q4s6u8"])]
_InspectionId = Annotated[str, Path(examples=["ins_01kaz3x2mcf4t6v8y0r2q4s6u8"])]
_PENDING: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "description": "A worker looks, or will; ask again after `Retry-After` seconds",
        "model": Inspection,
    },
}
_REPORT: Final[dict[int | str, dict[str, Any]]] = _PENDING | {
    200: {
        "description": "It has ended; a report is HTML by `Accept`",
        "content": {HTML: {"schema": {"type": "string"}}},
    },
}


@router.get(
    "/datasets/{input_id}/report",
    operation_id="get_dataset_report",
    response_model=Inspection,
    responses=_REPORT | problems(404, 410, 422, 429),
)
async def get_dataset_report(
    request: Request, visit: Ledger, input_id: _DatasetId, wait: Wait = 0
) -> Response:
    """Tell what a dataset is like: counts, classes, copies across parts, broken files by name.

    It is read as its format says: a `.zip` as `image_folder` with images of 64 x 64, `.npz` and
    `.safetensors` as `arrays`. Of a table the columns are told, and no classes: to name its label,
    or anything else of a `data` block, POST the same path.
    """
    question = await run_in_threadpool(report_question, visit, input_id, ReportOptions())
    return await asked(request, visit, question, input_id, wait=wait)


@router.post(
    "/datasets/{input_id}/report",
    operation_id="ask_dataset_report",
    response_model=Inspection,
    openapi_extra={"requestBody": body_schema(ReportOptions)},
    responses=_REPORT | problems(404, 410, 413, 415, 422, 429),
)
async def ask_dataset_report(  # noqa: PLR0913, PLR0917  # FastAPI passes by name
    request: Request,
    visit: Ledger,
    input_id: _DatasetId,
    body: SentBody,
    wait: Wait = 0,
    again: Again = False,
) -> Response:
    """Tell what a dataset is like, read as a spec's `data` block says."""
    options = checked(ReportOptions, body.document() if body.content else {})
    question = await run_in_threadpool(report_question, visit, input_id, options)
    return await asked(request, visit, question, input_id, wait=wait, again=again)


@router.get(
    "/models/{input_id}/layers",
    operation_id="get_model_layers",
    response_model=Inspection,
    responses=_PENDING | problems(404, 410, 422, 429),
)
async def get_model_layers(
    request: Request, visit: Ledger, input_id: _ModelId, wait: Wait = 0
) -> Response:
    """Tell the layers of a model by path, with shapes and parameters.

    Of an `.onnx` file they are its outputs, of a zip of a finished job those of its student.
    Weights alone do not say how they are put together: of these the tensors are told.
    """
    question = await run_in_threadpool(layers_question, visit, input_id)
    return await asked(request, visit, question, input_id, wait=wait)


@router.post(
    "/jobs/preflight",
    operation_id="preflight_job",
    response_model=Inspection,
    openapi_extra={"requestBody": SUBMIT_BODY},
    responses=_PENDING | problems(413, 415, 422, 429),
)
async def preflight_job(
    request: Request, visit: Ledger, body: SentBody, wait: Wait = 0, again: Again = False
) -> Response:
    """Try a spec out on its own data, and queue no job.

    A worker reads the data, builds the networks, and takes one step of each training on the CPU.
    The `result` says whether they are `compatible`, and of each problem where it is in the spec;
    what it takes on the disk and on the device; `seconds` is the time that jobs like it took. A
    spec that would be refused is refused here, with the same words.
    """
    read = await spec_of(visit, body)
    named = await resolved(visit, read.spec)
    question = preflight_question(read.spec, named)
    return await asked(request, visit, question, "spec", wait=wait, again=again)


@router.get(
    "/inspections/{inspection_id}",
    operation_id="get_inspection",
    response_model=Inspection,
    responses=_REPORT | problems(404, 422),
)
async def get_inspection(
    request: Request, visit: Ledger, inspection_id: _InspectionId, wait: Wait = 0
) -> Response:
    """Return a look that was asked for."""
    row = await run_in_threadpool(_found, visit, inspection_id)
    return await told(request, visit, row, wait=wait)


def _found(visit: Visit, inspection_id: str) -> tables.Inspection:
    if not INSPECTION_ID.fullmatch(inspection_id):
        raise InspectionNotFound(inspection_id)
    with visit.reading() as repository:
        return repository.inspection(inspection_id)
