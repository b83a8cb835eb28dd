"""One dataset or model, and what a worker has found in it: a report, or layers."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.background import BackgroundTask
from starlette.responses import RedirectResponse, Response

from api import views
from api.dependencies import Ledger, Visit
from api.inputs import input_of
from api.inspections import Again, Inspection, ReportOptions, begun, inspection_of
from api.looking import IMAGE_SIZE, layers_question, read_as, report_question, subject
from api.pages.rendering import page
from api.problems import PayloadProblem, Problem
from jobs.formats import InputKind
from jobs.inspections import Question
from kdcore.data_report import DataReport
from kdcore.reporting.page import as_data
from kdcore.tasks import TASKS

router = APIRouter(include_in_schema=False)

_MOST_LAYERS: Final = 2000
_FORBIDDEN: Final = 403
Text = Annotated[str, Query(max_length=1024, pattern=r"^[^\x00]*$")]
Side = Annotated[str, Query(pattern=r"^\d{0,4}$")]


class _Look(NamedTuple):
    """A look at an input, or why there is none."""

    told: Inspection | None
    refused: Problem | None = None
    after: BackgroundTask | None = None


@router.get("/datasets/{input_id}")
def dataset_page(
    visit: Ledger, input_id: str, label: Text = "", image_size: Side = "", task: Text = ""
) -> Response:
    """Show a dataset, and have a worker look at it if none has yet."""
    row = subject(visit, "dataset", input_id)
    kind = read_as(row.name)
    look = _Look(None)
    if kind is not None:
        look = _looked(visit, input_id, _options(label, image_size, task))
    report = None
    if look.told and look.told.result:
        report = DataReport.model_validate(look.told.result)
    columns = [one.name for one in report.columns] if report else []
    return _page(
        visit,
        look,
        "dataset.html",
        one=input_of(row),
        kind=kind,
        report=as_data(report) if report else None,
        columns=columns,
        tasks=list(TASKS),
        asked={"label": label, "image_size": image_size or IMAGE_SIZE, "task": task},
    )


@router.get("/models/{input_id}")
def model_page(visit: Ledger, input_id: str) -> Response:
    """Show a model, and have a worker look for its layers if none has yet."""
    row = subject(visit, "model", input_id)
    look = _begun(visit, layers_question(visit, input_id), input_id)
    found: dict[str, Any] = dict(look.told.result or {}) if look.told else {}
    return _page(
        visit, look, "model.html", one=input_of(row), found=found, most_layers=_MOST_LAYERS
    )


@router.post("/datasets/{input_id}")
def look_again(
    visit: Ledger, input_id: str, label: Text = "", image_size: Side = "", task: Text = ""
) -> Response:
    """Have a worker look at a dataset anew."""
    look = _looked(visit, input_id, _options(label, image_size, task), again=True)
    asked = {"label": label, "image_size": image_size, "task": task}
    return _back(look, "dataset", f"{input_id}?{urlencode(asked)}")


@router.post("/models/{input_id}")
def look_for_layers_again(visit: Ledger, input_id: str) -> Response:
    """Have a worker look at a model anew."""
    question = layers_question(visit, input_id)
    return _back(_begun(visit, question, input_id, again=True), "model", input_id)


def _options(label: str, image_size: str, task: str) -> ReportOptions:
    """Return what was filled in; a task means nothing before the label is named."""
    data: dict[str, Any] = {"label": label} if label else {}
    if image_size:
        data["image_size"] = int(image_size)
    return ReportOptions(data=data, task=(label and task) or "classification")


def _looked(visit: Visit, input_id: str, options: ReportOptions, *, again: Again = False) -> _Look:
    try:
        question = report_question(visit, input_id, options)
    except PayloadProblem as refused:
        return _Look(None, refused)
    return _begun(visit, question, input_id, again=again)


def _begun(visit: Visit, question: Question, input_id: str, *, again: bool = False) -> _Look:
    try:
        row, is_new = begun(visit, question, input_id, again=again)
    except Problem as refused:
        if refused.status != _FORBIDDEN:
            raise
        return _Look(None, refused)  # a key that may only read, and nobody has asked yet
    after = BackgroundTask(visit.bell.ring, row.id) if is_new else None
    return _Look(inspection_of(row), None, after)


def _page(visit: Visit, look: _Look, template: str, **values: Any) -> Response:
    oldest = visit.house.oldest_beat()
    with visit.reading() as repository:
        workers = sum(views.takes_jobs(worker, oldest) for worker in repository.workers())
    answer = page(template, visit, look=look.told, refused=look.refused, workers=workers, **values)
    if look.refused and look.refused.status != _FORBIDDEN:
        answer.status_code = look.refused.status
    answer.background = look.after
    return answer


def _back(look: _Look, kind: InputKind, where: str) -> Response:
    if look.refused:
        raise look.refused
    return RedirectResponse(f"/{kind}s/{where}", 303, background=look.after)
