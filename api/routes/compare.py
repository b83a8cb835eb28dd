"""Jobs beside each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from api import views
from api.answers import problems, send, unless_known
from api.checks import fault
from api.compare import Comparison, comparison
from api.compared import Compared
from api.dependencies import Ledger, Visit
from api.problems import Problem
from api.stored_file import StoredFile
from jobs.errors import ArtifactNotFound, JobNotFound, JobsNotFound, StoreUnavailable
from jobs.ids import JOB_ID

router = APIRouter(prefix="/v1", tags=["watch"])

FEWEST: Final = 2
MOST: Final = 10
_REPORT: Final = "report.json"


@router.get(
    "/compare",
    operation_id="compare_jobs",
    response_model=Comparison,
    responses=problems(404, 422),
)
def compare_jobs(
    request: Request,
    visit: Ledger,
    jobs: Annotated[
        str,
        Query(
            max_length=1000,
            description=f"Ids of {FEWEST} to {MOST} jobs, separated by commas",
            examples=["job_01kaz3x2mcf4t6v8y0r2q4s6u8,job_01kaz3x2mcf4t6v8y0r2q4s6v9"],
        ),
    ],
) -> Response:
    """Return what jobs were asked differently, what came out of each, and which is best where.

    Jobs that have not ended are compared as far as they came. Their curves are at
    `/v1/jobs/{id}/metrics`.
    """
    told = compare(visit, [one for one in jobs.split(",") if one])
    return unless_known(send(told), request.headers)


def compare(visit: Visit, asked: Sequence[str]) -> Comparison:
    """Return jobs beside each other.

    Raises:
        PayloadProblem: there are too few, too many, or one is there twice.
        JobsNotFound: some are not there.
    """
    _check(asked)
    with visit.reading() as repository:
        rows = repository.several(asked)
        seconds = repository.training_seconds(asked)
        files = repository.files_named(asked, _REPORT)
    reports = {one: views.stored_file(file, visit.store) for one, file in files.items()}
    prints = _fingerprints(reports)
    return comparison([Compared(row, prints.get(row.id), seconds[row.id]) for row in rows])


def _check(asked: Sequence[str]) -> None:
    hint = "?jobs=job_…,job_…; GET /v1/jobs lists the jobs"
    if not FEWEST <= len(asked) <= MOST:
        message = f"query parameter jobs: found {len(asked)}; expected {FEWEST} to {MOST} ids"
        raise fault("number_of_jobs", message, parameter="jobs", hint=hint)
    if twice := sorted({one[:80] for one in asked if asked.count(one) > 1}):
        message = f"query parameter jobs: found {', '.join(twice)} twice; expected each once"
        raise fault("job_twice", message, parameter="jobs", hint=hint)
    if strange := [JobNotFound(one[:80]) for one in asked if not JOB_ID.fullmatch(one)]:
        raise JobsNotFound(strange)


def _fingerprints(reports: Mapping[str, StoredFile]) -> Mapping[str, str]:
    """Return the sha256 of the data of each job whose report can still be read."""
    found: dict[str, str] = {}
    for job_id, report in reports.items():
        try:
            told = json.loads(report.read())
            found[job_id] = str(told["digests"]["data"])
        except (Problem, ArtifactNotFound, StoreUnavailable, ValueError, LookupError, TypeError):
            continue
    return found
