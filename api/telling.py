"""A job's JSON, put together from its row without a detour over objects.

The documents in a row are JSON text already, and stand in the answer as they are; the rest is
written around them. `views.full` says the same in the slow way, and a test holds the two together.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from json.encoder import encode_basestring as quoted
from typing import Final

from api.schemas import Failure, Progress
from jobs.database import dump_json
from jobs.keyed import JobRow
from jobs.spec import JobSpec
from jobs.states import TERMINAL, Status
from kdcore.verdict import Verdict

_TERMINAL: Final = frozenset(status.value for status in TERMINAL)


def is_terminal(row: JobRow) -> bool:
    """Return whether the job stays as it is unless somebody retries it."""
    return row.status in _TERMINAL


def as_created(row: JobRow) -> JobRow:
    """Return the row as it was when the job was submitted, whatever has happened since."""
    sent = json.loads(row.spec)
    first = {
        name: sent.get(name, JobSpec.model_fields[name].get_default(call_default_factory=True))
        for name in ("name", "priority", "max_runtime_seconds")
    }
    return row._replace(
        **first,
        labels=dump_json(sent.get("labels", {})),
        artifacts_purged_at=None,
        status=Status.QUEUED.value,
        phase=None,
        progress=None,
        attempt=0,
        worker=None,
        started_at=None,
        finished_at=None,
        cancel_mode=None,
        gates_passed=None,
        failure=None,
        verdict=None,
    )


def full(row: JobRow) -> bytes:
    """Return a job with all that was asked and all that came out."""
    verdict, outcome = "null", "null"
    if row.verdict is not None:
        # An older version may have left out what this one tells.
        reached = Verdict.model_validate_json(row.verdict)
        verdict, outcome = reached.model_dump_json(), quoted(reached.outcome)
    progress, failure = "null", "null"
    if row.progress is not None:
        progress = Progress.model_validate_json(row.progress).model_dump_json()
    if row.failure is not None:
        failure = Failure.model_validate_json(row.failure).model_dump_json()
    gates = "null" if row.gates_passed is None else ("false", "true")[bool(row.gates_passed)]
    limit = "null" if row.max_runtime_seconds is None else row.max_runtime_seconds
    return (
        f'{{"id":"{row.id}","object":"job","project":"{row.project}","name":{_text(row.name)}'
        f',"labels":{row.labels},"status":"{row.status}"'
        f',"terminal":{("false", "true")[row.status in _TERMINAL]}'
        f',"phase":{_text(row.phase)},"method":{_text(row.method)}'
        f',"teacher":{quoted(row.teacher)},"student":{quoted(row.student)},"progress":{progress}'
        f',"attempt":{row.attempt},"max_attempts":{row.max_attempts}'
        f',"max_runtime_seconds":{limit},"worker":{_text(row.worker)},"priority":{row.priority}'
        f',"cloned_from":{_text(row.cloned_from)},"created_at":{_moment(row.created_at)}'
        f',"started_at":{_moment(row.started_at)},"finished_at":{_moment(row.finished_at)}'
        f',"cancel_requested":{_text(row.cancel_mode)},"outcome":{outcome}'
        f',"gates_passed":{gates},"failure":{failure}'
        f',"artifacts_purged_at":{_moment(row.artifacts_purged_at)},"links":{_links(row.id)}'
        f',"verdict":{verdict},"spec":{row.spec},"recipe":{row.recipe}}}'
    ).encode()


def _links(job_id: str) -> str:
    here = f"/v1/jobs/{job_id}"
    return (
        f'{{"self":"{here}","events":"{here}/events","metrics":"{here}/metrics"'
        f',"attempts":"{here}/attempts","logs":"{here}/logs","artifacts":"{here}/artifacts"'
        f',"zip":"{here}/artifacts.zip","checksums":"{here}/SHA256SUMS"'
        f',"report":"{here}/report","page":"/jobs/{job_id}","cancel":"{here}/cancel"'
        f',"pause":"{here}/pause","resume":"{here}/resume","retry":"{here}/retry"'
        f',"clone":"{here}/clone"}}'
    )


def _text(text: str | None) -> str:
    return "null" if text is None else quoted(text)


def _moment(moment: str | datetime | None) -> str:
    """Write a moment as ISO 8601 in UTC, without a fraction where it has none."""
    if moment is None:
        return "null"
    if isinstance(moment, datetime):
        moment = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f'"{moment.replace(" ", "T").removesuffix(".000000")}Z"'
