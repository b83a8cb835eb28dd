"""Looks at data, models and specs before a job, each by a worker."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import problems
from api.checks import body_schema, checked, fault
from api.dependencies import Ledger, SentBody, Visit
from api.examples import SUBMIT_BODY
from api.inspections import HTML, Again, Inspection, ReportOptions, Wait, asked, told
from api.preflights import preflight_question
from api.references import resolve_named, resolved
from api.specs import spec_of
from jobs import tables
from jobs.formats import InputKind
from jobs.ids import DATASET_ID, INSPECTION_ID, MODEL_ID
from jobs.input_errors import InputNotFound, InspectionNotFound
from jobs.inspections import Question
from jobs.references import path_of, references_of
from kdcore.looked import Looked

router = APIRouter(prefix="/v1", tags=["inspections"])

_KIND_OF: Final = {
    "zip": "image_folder",
    "csv": "table",
    "jsonl": "table",
    "parquet": "table",
    "npz": "arrays",
    "safetensors": "arrays",
}
"""What a dataset is read as by its suffix, where nothing else is asked for."""
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

    It is read as its format says: a `.zip` as `image_folder`, `.npz` and `.safetensors` as
    `arrays`. Tables and texts need to be told their columns: POST the same path.
    """
    question = await run_in_threadpool(_report_question, visit, input_id, ReportOptions())
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
    question = await run_in_threadpool(_report_question, visit, input_id, options)
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
    question = await run_in_threadpool(_layers_question, visit, input_id)
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


def _subject(visit: Visit, kind: InputKind, input_id: str) -> tables.Input:
    if not (DATASET_ID if kind == "dataset" else MODEL_ID).fullmatch(input_id):
        raise InputNotFound(kind, input_id)
    with visit.reading() as repository:
        return repository.input(kind, input_id)


def _report_question(visit: Visit, input_id: str, options: ReportOptions) -> Question:
    row = _subject(visit, "dataset", input_id)
    own = f"dataset:{row.id}"
    if (path := options.data.get("path", own)) != own:
        raise fault(
            "wrong_path",
            f"found data.path {str(path)[:80]!r}; expected none, since the dataset is named",
            parameter="data.path",
            hint="leave it out",
        )
    suffix = row.name.rpartition(".")[2].lower()
    data = {"name": _KIND_OF[suffix], **options.data, "path": own}
    looked = checked(Looked, {"data": data, "task": options.task})
    named = resolve_named(visit, references_of(looked, Looked.model_fields), looked)
    return Question("dataset_report", json.loads(named.recipe or "{}"), named.inputs, named.files)


def _layers_question(visit: Visit, input_id: str) -> Question:
    row = _subject(visit, "model", input_id)
    said = {"name": row.name, "path": path_of(row.sha256, row.name)}
    return Question("model_layers", said, (row.id,))
