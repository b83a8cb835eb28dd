"""Files of the OpenAI facade: uploaded, listed, told, sent, deleted."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from api import views
from api.answers import problems, send, unless_known
from api.dependencies import Ledger
from api.downloads import send_file
from api.facade.bodies import FileDeleted, FileObject, Page
from api.facade.files import (
    PURPOSES,
    file_object,
    found,
    page_of_uploads,
    refused_purpose,
    uploaded_kind,
    with_purpose,
)
from api.facade.route import FacadeRoute
from api.facade.seeking import upload_before
from api.forms import FORM, FormFile
from api.keeping import bring
from api.problems import SEND_NO_MORE, Problem
from api.receiving import announced_name, incoming, is_form, require_plain_body
from jobs.receiving import Announced

router = APIRouter(prefix="/v1/files", tags=["openai"], route_class=FacadeRoute)

MOST_LISTED: Final = 1000
_RESULTS: Final = "fine-tune-results"
_USUAL: Final = "fine-tune"
_FORM: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        FORM: {
            "schema": {
                "type": "object",
                "properties": {
                    "purpose": {"type": "string", "enum": list(PURPOSES)},
                    "file": {"type": "string", "format": "binary"},
                },
                "required": ["purpose", "file"],
                "additionalProperties": False,
            }
        }
    },
}
_Id = Annotated[
    str,
    Path(
        examples=[
            "ds_01kaz3x2mcf4t6v8y0r2q4s6u8",
            "job_01kaz3x2mcf4t6v8y0r2q4s6u8.student.onnx",
        ]
    ),
]


@router.post(
    "",
    operation_id="create_file",
    response_model=FileObject,
    openapi_extra={"requestBody": _FORM},
    responses=problems(408, 413, 415, 422),
)
async def create_file(request: Request, visit: Ledger) -> Response:
    """Upload a data set (`purpose=fine-tune`) or a model (`user_data`), as `POST /v1/datasets`.

    The same content is stored once in a project: sent again, it has the id that it had.
    """
    headers = request.headers
    require_plain_body(headers, may_be_form=True)
    if not is_form(headers):
        raise Problem(
            415,
            "unsupported_media_type",
            f"found Content-Type {headers.get('content-type', 'missing')[:40]!r}; expected {FORM}",
            hint="with curl: -F purpose=fine-tune -F file=@FILE",
            headers={"Accept-Post": FORM},
        )
    form = FormFile(headers["content-type"], incoming(request), known=("purpose",))
    in_front = await form.begin()
    purpose = in_front.get("purpose", _USUAL)
    if purpose not in PURPOSES:
        raise refused_purpose(purpose, "data sets are for fine-tune, models for user_data")
    name = announced_name(headers, form.name, "file")
    body = with_purpose(form, purpose)
    row, _ = await bring(visit, PURPOSES[purpose], name, body, Announced())
    return send(file_object(row))


@router.get("", operation_id="list_files", response_model=Page[FileObject], responses=problems(422))
def list_files(  # noqa: PLR0913, PLR0917 - FastAPI passes by name
    request: Request,
    visit: Ledger,
    purpose: Annotated[str | None, Query(max_length=80)] = None,
    after: Annotated[
        str | None, Query(description="Id of the last file of the page before")
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=10_000, description="A page has 1,000 at most, whatever is asked for")
    ] = 10_000,
    order: Annotated[Literal["asc", "desc"], Query(description="By when they came")] = "desc",
) -> Response:
    """List what was uploaded; what a job delivered is in its `result_files`."""
    if purpose == _RESULTS:
        raise refused_purpose(purpose, "what a job delivered is in its result_files")
    position = upload_before(after)
    limit = min(limit, MOST_LISTED)
    with visit.reading() as repository:
        rows = page_of_uploads(repository, purpose, position, limit + 1, order == "asc")
        data = [file_object(row) for row in rows[:limit]]
    body = Page[FileObject](data=data, has_more=len(rows) > limit)
    return unless_known(send(body), request.headers)


@router.get(
    "/{file_id}",
    operation_id="retrieve_file",
    response_model=FileObject,
    responses=problems(404),
)
def retrieve_file(request: Request, visit: Ledger, file_id: _Id) -> Response:
    """Tell of one file, uploaded or delivered."""
    with visit.reading() as repository:
        body = file_object(found(repository, file_id))
    return unless_known(send(body), request.headers)


@router.get(
    "/{file_id}/content",
    operation_id="retrieve_file_content",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file; `Repr-Digest` has its sha256",
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        },
        206: {"description": "The part that `Range` asked for"},
        307: {"description": "`Location` is the file in the bucket, for a few minutes"},
    }
    | problems(404, 416),
)
def retrieve_file_content(request: Request, visit: Ledger, file_id: _Id) -> Response:
    """Send a file, or with `Range` a part of it; verified while it is sent."""
    with visit.reading() as repository:
        file = views.stored_file(found(repository, file_id), visit.store)
    seconds = visit.settings.s3_presign_seconds if visit.settings.s3_presign else None
    return send_file(request, file, seconds)


@router.delete(
    "/{file_id}",
    operation_id="delete_file",
    response_model=FileDeleted,
    responses=problems(404, 409),
)
def delete_file(visit: Ledger, file_id: _Id) -> Response:
    """Delete an upload; 409 while a job that has not ended needs it, or for what one delivered."""
    with visit.reading() as repository:
        found(repository, file_id)
    kind = uploaded_kind(file_id)
    if kind is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "file_of_a_job",
            f"found {file_id}, which a job has delivered; expected a file that was uploaded",
            hint="it goes with its job: DELETE /v1/jobs/{id}",
            headers=SEND_NO_MORE,
        )
    with visit.writing(f"{kind}.delete", file_id) as repository:
        repository.delete_input(kind, file_id)
    return send(FileDeleted(id=file_id))
