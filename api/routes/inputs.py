"""Datasets and models: uploaded in one go, listed, downloaded, deleted; both alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from api import views
from api.answers import problems, send, unless_known
from api.dependencies import Ledger, Visit
from api.downloads import send_file
from api.forms import FormFile
from api.inputs import INPUT_IDS, Input, input_of
from api.keeping import bring, told
from api.pagination import decode, encode
from api.receiving import (
    FILE_BODY,
    announced_name,
    announced_sha256,
    announced_size,
    incoming,
    is_form,
    require_plain_body,
)
from api.schemas import ListBody
from jobs import tables
from jobs.formats import KINDS, TAKEN, InputKind, format_of
from jobs.input_errors import InputNotFound
from jobs.receiving import Announced

router = APIRouter(prefix="/v1", tags=["inputs"])

_BINARY: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
_ID = Annotated[str, Path(examples=["ds_01kaz3x2mcf4t6v8y0r2q4s6u8"])]
_Digest = Annotated[str | None, Header(description="`sha-256=:<base64>:` of the file (RFC 9530)")]


def _add_routes(kind: InputKind) -> None:
    path, word = f"/{kind}s", kind

    def found(visit: Visit, input_id: str) -> tables.Input:
        if not INPUT_IDS[kind].fullmatch(input_id):
            raise InputNotFound(kind, input_id)
        with visit.reading() as repository:
            return repository.input(kind, input_id)

    async def upload(  # noqa: PLR0913, PLR0917 - FastAPI passes by name
        request: Request,
        visit: Ledger,
        name: Annotated[
            str | None, Query(description="What the file is called; its suffix says the format")
        ] = None,
        content_disposition: Annotated[
            str | None, Header(description="Its `filename` is the name, where `name` is not given")
        ] = None,
        repr_digest: _Digest = None,
        content_digest: _Digest = None,
    ) -> Response:
        del content_disposition, repr_digest, content_digest  # read as they came
        headers = request.headers
        require_plain_body(headers, may_be_form=True)
        sha256, size_bytes = announced_sha256(headers), announced_size(headers)
        body: AsyncIterator[bytes] = incoming(request)
        if is_form(headers):
            file = FormFile(headers["content-type"], body)
            await file.begin()
            name, size_bytes, body = name or file.name, None, file.blocks()
        called = announced_name(headers, name)
        announced = Announced(size_bytes, sha256)
        row, is_new = await bring(visit, kind, called, body, announced)
        return told(row, is_new=is_new)

    def list_all(  # noqa: PLR0913, PLR0917 - FastAPI passes by name
        request: Request,
        visit: Ledger,
        name: Annotated[str | None, Query(max_length=128)] = None,
        sha256: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        after: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
    ) -> Response:
        before = decode(path[1:], after, INPUT_IDS[kind]) if after is not None else None
        with visit.reading() as repository:
            rows = repository.inputs(kind, limit=limit + 1, before=before, sha256=sha256, name=name)
            page = [input_of(row) for row in rows[:limit]]
        has_more = len(rows) > limit
        body = ListBody[Input](
            data=page,
            has_more=has_more,
            next_cursor=encode(path[1:], page[-1].id) if has_more else None,
        )
        return unless_known(send(body), request.headers)

    def get_one(request: Request, visit: Ledger, input_id: _ID) -> Response:
        return unless_known(send(input_of(found(visit, input_id))), request.headers)

    def download(
        request: Request,
        visit: Ledger,
        input_id: _ID,
        redirect: Annotated[
            bool | None, Query(description="As for artifacts: 307 into the bucket, or never")
        ] = None,
    ) -> Response:
        file = views.stored_file(found(visit, input_id), visit.store)
        presigns = visit.settings.s3_presign if redirect is None else redirect
        return send_file(request, file, visit.settings.s3_presign_seconds if presigns else None)

    def delete(visit: Ledger, input_id: _ID) -> Response:
        found(visit, input_id)
        with visit.writing(f"{kind}.delete", input_id) as repository:
            repository.delete_input(kind, input_id)
        return Response(status_code=204)

    names = [f"it.{suffix}" for suffix in TAKEN[kind]]
    expected = ", ".join(f".{suffix}" for suffix in TAKEN[kind])
    router.add_api_route(
        path,
        upload,
        methods=["POST"],
        operation_id=f"upload_{word}",
        summary=f"Upload a {word}",
        description=f"The body is the file itself ({expected}), or a form with one file in it. It"
        " is stored as it comes; the same content is stored once in a project. Over links that may"
        " be cut: POST /v1/uploads.",
        status_code=201,
        response_model=Input,
        openapi_extra={"requestBody": FILE_BODY},
        responses={
            200: {"description": "This content was there already", "model": Input},
            201: {"description": "It was stored", "headers": _LOCATION},
        }
        | problems(408, 413, 415, 422),
    )
    router.add_api_route(
        path,
        list_all,
        operation_id=f"list_{word}s",
        summary=f"List {word}s",
        description="The newest first.",
        response_model=ListBody[Input],
        responses=problems(422),
    )
    router.add_api_route(
        f"{path}/{{input_id}}",
        get_one,
        operation_id=f"get_{word}",
        summary=f"Get one {word}",
        description="What it is called, how large it is, its sha256, and how a spec names it.",
        response_model=Input,
        responses=problems(404, 410),
    )
    router.add_api_route(
        f"{path}/{{input_id}}/content", download, methods=["HEAD"], include_in_schema=False
    )
    router.add_api_route(
        f"{path}/{{input_id}}/content",
        download,
        operation_id=f"download_{word}",
        summary=f"Download a {word}",
        description="The file, or with `Range` a part of it; verified while it is sent.",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "The file; `Repr-Digest` has its sha256",
                "content": {format_of(kind, one).media_type: _BINARY for one in names},
            },
            206: {"description": "The part that `Range` asked for"},
            307: {"description": "`Location` is the file in the bucket, for a few minutes"},
        }
        | problems(404, 410, 416, 422),
    )
    router.add_api_route(
        f"{path}/{{input_id}}",
        delete,
        methods=["DELETE"],
        operation_id=f"delete_{word}",
        summary=f"Delete a {word}",
        description="409 while a job that has not ended needs it; the answer names the job.",
        status_code=204,
        response_class=Response,
        responses={204: {"description": "It is gone."}} | problems(404, 409, 410),
    )


_LOCATION: Final[dict[str, Any]] = {
    "Location": {"schema": {"type": "string"}, "description": "Its path"}
}
for _kind in KINDS:
    _add_routes(_kind)
