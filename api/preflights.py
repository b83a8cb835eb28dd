"""What a worker has found by trying a spec out, where somebody has asked it to."""

from __future__ import annotations

import json
from typing import Final, Literal

from pydantic import ValidationError

from api.dependencies import Visit
from api.references import Resolved, resolve_named
from api.schemas import Body
from jobs import tables
from jobs.inspections import Question
from jobs.references import references_of
from jobs.spec import JobSpec
from kdcore.data_report import DataReport
from kdcore.inspected import Preflight
from kdcore.looked import Looked

_ASK: Final = "/v1/jobs/preflight?wait=30"


class KnownPreflight(Body):
    """What is known of a preflight of the same recipe."""

    state: Literal["unasked", "queued", "running", "done", "failed"]
    url: str
    """Where it is told: GET it, with `wait=` seconds; where nobody has asked, POST the spec there.
    """
    compatible: bool | None
    """Whether a job would do; none before it is done."""


def preflight_question(spec: JobSpec, named: Resolved) -> Question:
    """Return what a worker is asked of a spec."""
    text = named.recipe or spec.recipe().model_dump_json()
    # Neither of them changes what is found.
    recipe = {**json.loads(text), "name": None, "lock": None}
    return Question("preflight", recipe, named.inputs, named.files)


def known_preflight(row: tables.Inspection | None) -> KnownPreflight:
    """Return what is told of a preflight, or how to ask for one."""
    if row is None:
        return KnownPreflight(state="unasked", url=_ASK, compatible=None)
    found = preflight_of(row)
    return KnownPreflight.model_validate(
        {
            "state": row.state,
            "url": f"/v1/inspections/{row.id}?wait=30",
            "compatible": found.compatible if found else None,
        }
    )


def preflight_of(row: tables.Inspection | None) -> Preflight | None:
    """Return what a worker has found; None where it has not, or told less than it does now."""
    if row is None or row.kind != "preflight" or row.result is None:
        return None
    try:
        return Preflight.model_validate(row.result)
    except ValidationError:
        return None


def known_samples(visit: Visit, spec: JobSpec) -> int | None:
    """Return the training samples that a report of the same data, read alike, has counted."""
    report = known_report(visit, spec)
    return report.parts["train"].samples if report and "train" in report.parts else None


def known_report(visit: Visit, spec: JobSpec) -> DataReport | None:
    """Return the report of a spec's data, where somebody has asked for one that is done.

    Raises:
        PayloadProblem: the data is not there.
    """
    data = spec.data.model_dump(mode="json")
    looked = Looked.model_validate({"data": data, "task": spec.task.model_dump(mode="json")})
    named = resolve_named(visit, references_of(looked, Looked.model_fields), looked)
    asked = json.loads(named.recipe or looked.model_dump_json())
    question = Question("dataset_report", asked, named.inputs, named.files)
    with visit.reading() as repository:
        row = repository.known_inspection(question)
    try:
        return DataReport.model_validate(row.result) if row and row.result else None
    except ValidationError:
        return None
