"""What is found out of data, models and specs before a job: asked, waited for, told."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import JsonValue, ValidationError
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from api.answers import send
from api.checks import Sent
from api.dependencies import Visit
from api.downloads import CAGE
from api.estimate import Seconds, seconds_of
from api.preflights import preflight_of
from api.schemas import Body
from jobs import tables
from jobs.inspections import ENDED, Question
from jobs.keys import Scope
from kdcore.data_report import DataReport
from kdcore.recipe import Recipe
from kdcore.reporting.page import as_data_page

HTML: Final = "text/html"
POLL_SECONDS: Final = 0.25
MAX_WAIT_SECONDS: Final = 30
Wait = Annotated[
    int, Query(ge=0, le=MAX_WAIT_SECONDS, description="Seconds to wait for the result")
]
Again = Annotated[bool, Query(description="Look anew, where an earlier look has ended")]


class InspectionFailure(Body):
    """Why nothing could be found out."""

    code: str
    message: str
    hint: str | None = None


class Inspection(Body):
    """One look of a worker at a dataset, a model or a spec."""

    id: str
    object: Literal["inspection"] = "inspection"
    kind: Literal["dataset_report", "model_layers", "preflight"]
    state: Literal["queued", "running", "done", "failed"]
    result: dict[str, JsonValue] | None
    """What was found, once it is done: a data report, layers, or a preflight."""
    failure: InspectionFailure | None
    seconds: Seconds | None = None
    """Of a preflight that is done: how long its trainings would take, as those of earlier jobs with
    the same networks, data, method and batches; none where there are none."""
    created_at: datetime
    finished_at: datetime | None


class ReportOptions(Sent):
    """How a dataset is to be read."""

    data: dict[str, Any] = {}
    """As in a spec, without its path; without a name, the kind that goes with the format."""
    task: str | dict[str, Any] = "classification"
    """As in a spec."""


def inspection_of(row: tables.Inspection, seconds: Seconds | None = None) -> Inspection:
    """Return what is told of an inspection."""
    mine = {"object", "seconds"}
    fields = {name: getattr(row, name) for name in Inspection.model_fields if name not in mine}
    return Inspection.model_validate({**fields, "seconds": seconds})


async def asked(  # noqa: PLR0913  # what one request says
    request: Request,
    visit: Visit,
    question: Question,
    subject: str,
    *,
    wait: int,
    again: bool = False,
) -> Response:
    """Ask, if nobody has yet, wait for a while, and tell how far it is.

    A key that may only read is told what others have asked.

    Raises:
        Problem: 403; nobody has asked, and this key may not.
        InspectionsFull: too many wait already.
    """
    row, is_new = await run_in_threadpool(begun, visit, question, subject, again=again)
    bell = BackgroundTask(visit.bell.ring, row.id) if is_new else None
    if bell is not None and wait:
        await bell()
        bell = None
    return await told(request, visit, row, wait=wait, after=bell)


def begun(
    visit: Visit, question: Question, subject: str, *, again: bool
) -> tuple[tables.Inspection, bool]:
    """Return the inspection of a question, and whether it was begun by this; see `asked`."""
    caller = visit.caller
    if not caller.scope.includes(Scope.WRITE):
        with visit.reading() as repository:
            if known := repository.known_inspection(question):
                return known, False
        caller.require(Scope.WRITE)
    with visit.changing() as repository:
        row, is_new = repository.inspect(
            caller.project, question, by=caller.author.key_id, again=again
        )
        if is_new:
            details = {"inspection": row.id}
            action = f"inspect.{question.kind}"
            repository.note(caller.author, action, subject, project=caller.project, details=details)
        return row, is_new


async def told(
    request: Request,
    visit: Visit,
    row: tables.Inspection,
    *,
    wait: int,
    after: BackgroundTask | None = None,
) -> Response:
    """Wait for an inspection for so many seconds, and tell it: 200 once it has ended, or 202."""
    until = time.monotonic() + wait
    while row.state not in ENDED and time.monotonic() < until:
        await asyncio.sleep(POLL_SECONDS)
        if visit.tower.closing or await request.is_disconnected():
            break
        row = await run_in_threadpool(_read, visit, row.id)
    where = {"Content-Location": f"/v1/inspections/{row.id}", "Vary": "Accept"}
    if row.state not in ENDED:
        where |= {"Retry-After": "1", "Cache-Control": "no-store"}
        return send(inspection_of(row), 202, headers=where, after=after)
    accept = request.headers.get("accept", "")
    if HTML in accept and "application/json" not in accept and _is_report(row):
        page = await run_in_threadpool(_page, row)
        return HTMLResponse(page, headers={**where, "Content-Security-Policy": CAGE})
    seconds = await run_in_threadpool(_seconds, visit, row)
    return send(inspection_of(row, seconds), headers=where)


def _seconds(visit: Visit, row: tables.Inspection) -> Seconds | None:
    """Return how long the trainings of a preflight's recipe would take."""
    found = preflight_of(row)
    if found is None or not found.steps:
        return None
    try:
        recipe = Recipe.model_validate(row.question["asked"])
    except ValidationError:  # of an older version
        return None
    with visit.reading() as repository:
        pace = repository.pace(recipe)
    return seconds_of(pace, found.steps) if pace else None


def _read(visit: Visit, inspection_id: str) -> tables.Inspection:
    with visit.reading() as repository:
        return repository.inspection(inspection_id)


def _is_report(row: tables.Inspection) -> bool:
    return row.kind == "dataset_report" and row.result is not None


def _page(row: tables.Inspection) -> str:
    return as_data_page(DataReport.model_validate(row.result))
