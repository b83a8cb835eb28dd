"""What came out of a job, in one page: JSON for programs, Markdown for people and pull requests."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from api import views
from api.answers import problems, send, unless_known
from api.dependencies import JobId, Ledger, Visit
from api.problems import Problem
from api.schemas import Report
from jobs.errors import ArtifactNotFound

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["watch"])

MARKDOWN: Final = "text/markdown"
_MARKDOWN_FILE: Final = "report.md"
_MARKDOWN: Final = {MARKDOWN: {"schema": {"type": "string"}}}


@router.get(
    "/report",
    operation_id="get_report",
    response_model=Report,
    responses={
        200: {"description": "JSON, or Markdown by `Accept: text/markdown`", "content": _MARKDOWN}
    }
    | problems(404, 410),
)
def get_report(request: Request, visit: Ledger, job_id: JobId) -> Response:
    """Return the verdict, the gates and the files of a job that succeeded."""
    accept = request.headers.get("accept", "")
    if MARKDOWN in accept and "application/json" not in accept:
        return _markdown(visit, job_id)
    with visit.reading() as repository:
        job = repository.get(job_id)
        told = views.full(job)
        files = [views.artifact(row) for row in repository.artifacts(job_id)]
    if told.verdict is None:
        raise _none_yet(job_id, told.status)
    body = Report(
        job=told.id,
        name=told.name,
        status=told.status,
        verdict=told.verdict,
        gates_passed=told.gates_passed,
        artifacts=files,
    )
    return unless_known(send(body, headers={"Vary": "Accept"}), request.headers)


@router.get(
    "/report.md",
    operation_id="get_report_markdown",
    response_class=PlainTextResponse,
    responses={200: {"description": "The report as Markdown", "content": _MARKDOWN}}
    | problems(404, 410),
)
def get_report_markdown(visit: Ledger, job_id: JobId) -> Response:
    """Return the report as Markdown, fit for a pull request's comment."""
    return _markdown(visit, job_id)


def _markdown(visit: Visit, job_id: str) -> Response:
    with visit.reading() as repository:
        status = repository.keeping_files(job_id).status
        try:
            file = views.stored_file(repository.artifact(job_id, _MARKDOWN_FILE), visit.store)
        except ArtifactNotFound:
            raise _none_yet(job_id, status) from None
    headers = {"ETag": file.etag, "Vary": "Accept", "Cache-Control": "no-cache"}
    return Response(file.read(), 200, headers, f"{MARKDOWN}; charset=utf-8")


def _none_yet(job_id: str, status: str) -> Problem:
    return Problem(
        404,
        "report_not_found",
        f"job {job_id} is {status} and has no report",
        hint="a report is there once the job has succeeded",
    )
