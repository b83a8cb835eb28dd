"""Where a page of the facade begins, and which jobs it is asked for."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.datastructures import QueryParams

from api.checks import DEEP, fault
from api.facade.files import uploaded_kind
from api.problems import PayloadProblem
from jobs.ids import JOB_ID

METADATA: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "metadata",
            "in": "query",
            "description": "`metadata[key]=value`: jobs that have all of these labels",
            "style": DEEP,
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    ]
}
"""OpenAPI's words for the filter by labels."""
_KEY: Final = re.compile(r"metadata\[([A-Za-z0-9][A-Za-z0-9._/-]{0,62})\]")
_EVENT: Final = re.compile(r"(?P<job>job_\w{26})\.(?P<seq>[0-9]{1,9})")


def labels_asked(parameters: QueryParams) -> dict[str, str | None]:
    """Return the labels that a list is filtered by.

    Raises:
        PayloadProblem: a key is not one that a label can have.
    """
    wanted: dict[str, str | None] = {}
    for name, value in parameters.multi_items():
        if name.partition("[")[0] != "metadata":
            continue
        key = _KEY.fullmatch(name)
        if key is None:
            raise fault(
                "invalid_metadata",
                f"found the query parameter {name[:80]!r}; expected metadata[key]=value, the key"
                " of letters, digits and ._/-",
                parameter="metadata",
            )
        wanted[key[1]] = value
    return wanted


def position_of(job_id: str, after: str | None) -> int | None:
    """Return the number of the event that a page of a job's events ends before.

    Raises:
        PayloadProblem: it is no id of an event of this job.
    """
    if after is None:
        return None
    found = _EVENT.fullmatch(after)
    if found is None or found["job"] != job_id:
        raise _no_place(after, "an event of this job")
    return int(found["seq"])


def job_before(after: str | None) -> str | None:
    """Return the id of the job that a page of jobs begins behind.

    Raises:
        PayloadProblem: it can be no job's.
    """
    if after is not None and not JOB_ID.fullmatch(after):
        raise _no_place(after, "a job")
    return after


def upload_before(after: str | None) -> str | None:
    """Return the id of the uploaded file that a page of files begins behind.

    Raises:
        PayloadProblem: it can be no such file's.
    """
    if after is not None and uploaded_kind(after) is None:
        raise _no_place(after, "an uploaded file")
    return after


def _no_place(after: str, wanted: str) -> PayloadProblem:
    return fault(
        "invalid_cursor",
        f"query parameter after: found {after[:80]!r}; expected the id of {wanted}",
        parameter="after",
    )
