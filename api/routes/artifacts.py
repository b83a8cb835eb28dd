"""What a job delivered: list, single files with ranges, everything as one zip, checksums."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from api import views
from api.answers import problems, send, unless_known
from api.dependencies import JobId, Ledger, Visit
from api.downloads import archive, archive_etag, checksums, matches, send_file
from api.schemas import Artifact, ListBody
from api.stored_file import StoredFile
from jobs.artifacts import NAME
from jobs.errors import ArtifactNotFound

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["files"])

Redirect = Annotated[
    bool | None,
    Query(
        description="Answer 307 with a presigned URL where files are in a bucket, or never;"
        " without it STILLHOUSE_S3_PRESIGN decides"
    ),
]
_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_ZIP = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}


@router.get(
    "/artifacts",
    operation_id="list_artifacts",
    response_model=ListBody[Artifact],
    responses=problems(404, 410),
)
def list_artifacts(request: Request, visit: Ledger, job_id: JobId) -> Response:
    """Return the files that a job delivered, with their sizes and digests."""
    with visit.reading() as repository:
        repository.keeping_files(job_id)
        rows = repository.artifacts(job_id)
    body = ListBody[Artifact](data=[views.artifact(row) for row in rows])
    return unless_known(send(body), request.headers)


@router.head("/artifacts/{name}", include_in_schema=False)
@router.get(
    "/artifacts/{name}",
    operation_id="download_artifact",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file; `ETag` and `Repr-Digest` hold its sha256",
            "content": _BINARY,
        },
        206: {"description": "The part that `Range` asked for"},
        304: {"description": "The client has it already"},
        307: {"description": "`Location` is the file in the bucket, for a few minutes"},
    }
    | problems(404, 410, 416, 422),
)
def download_artifact(
    request: Request, visit: Ledger, job_id: JobId, name: str, redirect: Redirect = None
) -> Response:
    """Send one file, or with `Range` a part of it; `If-Range` keeps parts of two files apart.

    A whole file is held against its sha256 while it is sent: one that was damaged in the store is
    410, or is cut short where that was found only at its end.
    """
    # No name that was ever stored looks otherwise; nothing odd may reach the database.
    if not NAME.fullmatch(name):
        raise ArtifactNotFound(name[:80])
    with visit.reading() as repository:
        repository.keeping_files(job_id)
        file = views.stored_file(repository.artifact(job_id, name), visit.store)
    presigns = visit.settings.s3_presign if redirect is None else redirect
    return send_file(request, file, visit.settings.s3_presign_seconds if presigns else None)


@router.get(
    "/artifacts.zip",
    operation_id="download_all_artifacts",
    response_class=StreamingResponse,
    responses={200: {"description": "A zip of all files, stored and not deflated", "content": _ZIP}}
    | problems(404, 410),
)
def download_all_artifacts(request: Request, visit: Ledger, job_id: JobId) -> Response:
    """Send all files and their checksums as one zip, written while it is sent."""
    files = _files(visit, job_id)
    tag = archive_etag(files)
    if matches(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers={"ETag": tag})
    for file in files:
        # What is gone must be said before the first byte of a zip promises everything.
        file.check()
    return StreamingResponse(
        archive(files),
        media_type="application/zip",
        headers={"ETag": tag, "Content-Disposition": f'attachment; filename="{job_id}.zip"'},
    )


@router.get(
    "/SHA256SUMS",
    operation_id="get_checksums",
    response_class=PlainTextResponse,
    responses=problems(404, 410),
)
def get_checksums(visit: Ledger, job_id: JobId) -> Response:
    """Return the lines that `sha256sum --check` reads."""
    return PlainTextResponse(
        checksums(_files(visit, job_id)), headers={"Cache-Control": "no-cache"}
    )


def _files(visit: Visit, job_id: str) -> list[StoredFile]:
    with visit.reading() as repository:
        repository.keeping_files(job_id)
        return [views.stored_file(row, visit.store) for row in repository.artifacts(job_id)]
