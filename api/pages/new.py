"""A new job: a form over the catalogue, checked while it is filled in, or a spec written by hand.

The form is `form.js`; without JavaScript the spec is written into the page and posted as it is.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from api.bodies import Body
from api.dependencies import Ledger, SentBody, Visit
from api.pages.fields import fields_of
from api.pages.rendering import page
from api.problems import PayloadProblem
from api.routes.jobs import submit
from jobs.errors import JobNotFound
from jobs.ids import JOB_ID
from kdcore.catalog import METHODS
from kdcore.examples import example_of
from kdcore.training import Training

router = APIRouter(include_in_schema=False)

_FIRST: Final[dict[str, Any]] = {
    "name": "digits",
    "teacher": "plain4",
    "student": {"model": {"name": "mlp", "hidden": [32]}},
    "data": {"name": "digits", "labelled": 100},
    "method": "kd",
    "training": {"max_steps": 600},
    "seeds": [0, 1, 2],
    "gates": ["student.accuracy >= 0.9"],
}
"""A spec that anybody can run, in seconds."""


@router.get("/new")
async def new_page(
    visit: Ledger,
    clone: Annotated[str | None, Query(alias="from", pattern=JOB_ID.pattern)] = None,
    method: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Show the form, filled in with the spec of another job where one is named."""
    spec = _FIRST
    if clone:
        spec = await run_in_threadpool(_spec_of, visit, clone)
    if method is not None and method in METHODS:
        spec = {**spec, "method": method} if clone else example_of(method)
    return _page(visit, json.dumps(spec, indent=2, ensure_ascii=False), clone=clone)


@router.post("/new")
async def post_new(visit: Ledger, body: SentBody) -> Response:
    """Take a spec from the page's own form, as JSON or YAML, and lead on to the job."""
    form = fields_of(body)
    text, clone = form.get("spec", [""])[0], form.get("from", [""])[0] or None
    if clone is not None and not JOB_ID.fullmatch(clone):
        raise JobNotFound(clone[:80])
    try:
        spec = Body(text.encode(), "application/yaml")
        stored = await submit(visit, spec, None, cloned_from=clone)
    except PayloadProblem as problem:
        return _page(visit, text, clone=clone, problem=problem)
    job_id = json.loads(bytes(stored.body))["id"]
    return RedirectResponse(f"/jobs/{job_id}", 303, background=stored.background)


def _spec_of(visit: Visit, job_id: str) -> dict[str, Any]:
    with visit.reading() as repository:
        return dict(repository.get(job_id).spec)


def _page(
    visit: Visit, spec: str, *, clone: str | None = None, problem: PayloadProblem | None = None
) -> Response:
    answer = page(
        "new.html",
        visit,
        spec=spec,
        clone=clone,
        problem=problem,
        training=Training.model_json_schema(),
    )
    if problem is not None:
        answer.status_code = problem.status
    return answer
