"""What came out of a job, in one page: JSON for programs, Markdown and HTML for people."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from api import views
from api.answers import problems, send, unless_known
from api.dependencies import JobId, Ledger, Visit
from api.downloads import CAGE
from api.problems import Problem
from api.reporting import Report, report_of
from jobs.errors import ArtifactNotFound, ArtifactsPurged
from kdcore.reporting.record import Report as Told

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["watch"])

MARKDOWN: Final = "text/markdown"
HTML: Final = "text/html"
_FILES: Final = {MARKDOWN: "report.md", HTML: "report.html"}
_DETAILS: Final = "report.json"
_FORMS: Final = {form: {"schema": {"type": "string"}} for form in _FILES}


@router.get(
    "/report",
    operation_id="get_report",
    response_model=Report,
    responses={200: {"description": "JSON; Markdown or HTML by `Accept`", "content": _FORMS}}
    | problems(404, 410),
)
def get_report(request: Request, visit: Ledger, job_id: JobId) -> Response:
    """Return the verdict, the gates, the details and the files of a job that succeeded."""
    accept = request.headers.get("accept", "")
    for form in _FILES:
        if form in accept and "application/json" not in accept:
            return _file(visit, job_id, form)
    with visit.reading() as repository:
        job = repository.get(job_id)
        told = views.full(job)
        files = [views.artifact(row) for row in repository.artifacts(job_id)]
    if told.verdict is None:
        raise _none_yet(job_id, told.status)
    body = report_of(told, told.verdict, details_of(visit, job_id), files)
    return unless_known(send(body, headers={"Vary": "Accept"}), request.headers)


@router.get(
    "/report.md",
    operation_id="get_report_markdown",
    response_class=PlainTextResponse,
    responses={
        200: {"description": "The report as Markdown", "content": {MARKDOWN: _FORMS[MARKDOWN]}}
    }
    | problems(404, 410),
)
def get_report_markdown(visit: Ledger, job_id: JobId) -> Response:
    """Return the report as Markdown, fit for a pull request's comment."""
    return _file(visit, job_id, MARKDOWN)


@router.get(
    "/report.html",
    operation_id="get_report_page",
    response_class=HTMLResponse,
    responses={200: {"description": "The report as one self-contained page"}} | problems(404, 410),
)
def get_report_page(visit: Ledger, job_id: JobId) -> Response:
    """Return the report as one HTML file, which loads nothing and runs nothing."""
    return _file(visit, job_id, HTML)


def _file(visit: Visit, job_id: str, form: str) -> Response:
    content, etag = _read(visit, job_id, _FILES[form])
    headers = {"ETag": etag, "Vary": "Accept", "Cache-Control": "no-cache"}
    if form == HTML:
        headers["Content-Security-Policy"] = CAGE
    return Response(content, 200, headers, f"{form}; charset=utf-8")


def details_of(visit: Visit, job_id: str) -> Told | None:
    """Return what the trainer told; None where it told less than it does now, or is kept no more.

    A verdict stands for longer than the files.
    """
    try:
        return Told.model_validate_json(_read(visit, job_id, _DETAILS)[0])
    except (Problem, ArtifactsPurged, ValueError):
        return None


def _read(visit: Visit, job_id: str, name: str) -> tuple[bytes, str]:
    with visit.reading() as repository:
        status = repository.keeping_files(job_id).status
        try:
            file = views.stored_file(repository.artifact(job_id, name), visit.store)
        except ArtifactNotFound:
            raise _none_yet(job_id, status) from None
    return file.read(), file.etag


def _none_yet(job_id: str, status: str) -> Problem:
    return Problem(
        404,
        "report_not_found",
        f"job {job_id} is {status} and has no report",
        hint="a report is there once the job has succeeded",
    )
