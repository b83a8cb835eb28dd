"""Uploads in parts: begun, gone on with after a cut connection, completed, given up."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from api.answers import problems, send
from api.checks import body_schema, checked
from api.completing import complete
from api.dependencies import Ledger, SentBody, Visit
from api.inputs import Input, NewUpload, Part, Upload, upload_of
from api.keeping import require_fitting
from api.pagination import decode, encode
from api.receiving import (
    BODY,
    announced_sha256,
    announced_size,
    incoming,
    receive,
    require_plain_body,
)
from api.schemas import ListBody
from jobs.formats import format_of
from jobs.ids import UPLOAD_ID
from jobs.input_errors import UploadNotFound
from jobs.receiving import Announced, Place, Received, Reception
from jobs.uploads import Wanted, part_size

router = APIRouter(prefix="/v1/uploads", tags=["inputs"])

_PART: Final = "part"
_Id = Annotated[str, Path(examples=["upl_01kaz3x2mcf4t6v8y0r2q4s6u8"])]
_LOCATION: Final[dict[str, Any]] = {
    "Location": {"schema": {"type": "string"}, "description": "Its path"}
}


@router.post(
    "",
    operation_id="begin_upload",
    status_code=201,
    response_model=Upload,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": body_schema(NewUpload),
                    "example": {
                        "kind": "dataset",
                        "name": "photos.zip",
                        "size_bytes": 1_073_741_824,
                        "sha256": "0" * 64,
                    },
                }
            },
        }
    },
    responses={
        200: {"description": "It was begun before; `received` says what is there", "model": Upload},
        201: {"description": "It was begun", "headers": _LOCATION},
    }
    | problems(413, 415, 422),
)
def begin_upload(visit: Ledger, body: SentBody) -> Response:
    """Begin an upload in parts, or go on with one of the same kind, name, size and sha256.

    Send each part with `PUT …/parts/{number}`, in any order, several at a time if you like; a part
    whose connection was cut is sent again. Then `POST …/complete`.
    """
    wanted = checked(NewUpload, body.document())
    format_of(wanted.kind, wanted.name)
    require_fitting(visit, wanted.size_bytes)
    settings = visit.settings
    with visit.changing() as repository:
        row, is_new = repository.begin_upload(
            visit.caller.project,
            Wanted(wanted.kind, wanted.name, wanted.size_bytes, wanted.sha256),
            part_bytes=settings.upload_part_bytes,
            seconds=settings.upload_seconds,
            by=visit.caller.author.key_id,
        )
        told = upload_of(row, repository.parts(row.id))
    headers = {"Location": f"/v1/uploads/{row.id}"}
    return send(told, 201 if is_new else 200, headers=headers)


@router.get(
    "", operation_id="list_uploads", response_model=ListBody[Upload], responses=problems(422)
)
def list_uploads(
    visit: Ledger,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> Response:
    """List the uploads that are not complete, the newest first."""
    before = decode("uploads", after, UPLOAD_ID) if after is not None else None
    with visit.reading() as repository:
        rows = repository.uploads(limit + 1, before)
        page = [upload_of(row, repository.parts(row.id)) for row in rows[:limit]]
    has_more = len(rows) > limit
    cursor = encode("uploads", page[-1].id) if has_more else None
    return send(ListBody[Upload](data=page, has_more=has_more, next_cursor=cursor))


@router.get(
    "/{upload_id}", operation_id="get_upload", response_model=Upload, responses=problems(404)
)
def get_upload(visit: Ledger, upload_id: _Id) -> Response:
    """Say which parts have arrived: whoever goes on after a cut connection sends the others."""
    with visit.reading() as repository:
        row = repository.upload(_checked(upload_id))
        return send(upload_of(row, repository.parts(upload_id)))


@router.put(
    "/{upload_id}/parts/{number}",
    operation_id="put_part",
    response_model=Part,
    openapi_extra={"requestBody": BODY},
    responses=problems(404, 408, 413, 415, 422),
)
async def put_part(
    request: Request,
    visit: Ledger,
    upload_id: _Id,
    number: Annotated[int, Path(ge=1, le=10**9)],
    content_digest: Annotated[
        str | None, Header(description="`sha-256=:<base64>:` of the part (RFC 9530)")
    ] = None,
) -> Response:
    """Send one part: `part_bytes` of the file, the last one what is left.

    It counts once all of it has arrived; one that comes again takes the place of the first.
    """
    del content_digest  # read as it came
    require_plain_body(request.headers)
    size_bytes = await run_in_threadpool(_expected, visit, upload_id, number)
    announced = Announced(size_bytes, announced_sha256(request.headers))
    announced.require_size(announced_size(request.headers))
    begin = partial(
        Reception,
        visit.store,
        Place(upload_id, _PART, number),
        most_bytes=size_bytes,
        announced=announced,
    )
    received = await receive(incoming(request), begin)
    await run_in_threadpool(_note, visit, upload_id, number, received)
    return send(Part(number=number, size_bytes=size_bytes, sha256=received.sha256))


def _expected(visit: Visit, upload_id: str, number: int) -> int:
    """Return how many bytes a part has; refuse it where it cannot be taken."""
    with visit.reading() as repository:
        row = repository.upload(_checked(upload_id))
    if row.input_id is not None:
        raise UploadNotFound(upload_id)
    size_bytes = part_size(row, number)
    require_fitting(visit, size_bytes)
    return size_bytes


def _note(visit: Visit, upload_id: str, number: int, received: Received) -> None:
    try:
        with visit.changing() as repository:
            repository.keep_part(upload_id, number, received, visit.settings.upload_seconds)
    except UploadNotFound:
        # It was given up, or completed, while the part was on its way.
        visit.store.delete(received.location)
        raise


@router.post(
    "/{upload_id}/complete",
    operation_id="complete_upload",
    status_code=201,
    response_model=Input,
    responses={
        200: {"description": "This content was there already", "model": Input},
        201: {"description": "It was stored", "headers": _LOCATION},
    }
    | problems(404, 409, 413, 422),
)
def complete_upload(visit: Ledger, upload_id: _Id) -> Response:
    """Make a dataset or a model of an upload, once all parts are there; it may be asked again.

    The whole is looked through as in `POST /v1/datasets`, and has the sha256 that was announced;
    where it has not, the upload is given up. It takes some seconds for each gigabyte.
    """
    return complete(visit, _checked(upload_id))


@router.delete(
    "/{upload_id}",
    operation_id="drop_upload",
    summary="Give an upload up",
    status_code=204,
    response_class=Response,
    responses={204: {"description": "It is gone."}} | problems(404),
)
def drop_upload(visit: Ledger, upload_id: _Id) -> Response:
    """Give an upload up; one that is left alone is given up after a day."""
    with visit.writing("upload.delete", _checked(upload_id)) as repository:
        repository.drop_upload(upload_id)
    return Response(status_code=204)


def _checked(upload_id: str) -> str:
    if not UPLOAD_ID.fullmatch(upload_id):
        raise UploadNotFound(upload_id)
    return upload_id
