"""The audit: who did what to what."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import JsonValue
from starlette.responses import Response

from api.answers import NO_STORE, problems, send
from api.dependencies import AdminLedger
from api.pagination import decode, encode
from api.schemas import Body, ListBody

router = APIRouter(prefix="/v1", tags=["access"])

_NUMBER: Final = re.compile(r"\d{1,18}")


class AuditLine(Body):
    """One thing that somebody did."""

    id: int
    object: Literal["audit_line"] = "audit_line"
    at: datetime
    project: str | None
    key_id: str | None
    address: str | None
    request_id: str | None
    action: str
    subject: str
    details: dict[str, JsonValue]


@router.get(
    "/audit",
    operation_id="list_audit",
    response_model=ListBody[AuditLine],
    responses=problems(404, 422),
)
def list_audit(
    visit: AdminLedger,
    subject: Annotated[
        str | None, Query(max_length=128, description="Id of a job, a key or a project")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> Response:
    """Return what was done to what by whom, the newest first."""
    before = int(decode("audit", after, _NUMBER)) if after is not None else None
    with visit.overseeing() as repository:
        rows = repository.audited(before=before, subject=subject, limit=limit + 1)
    lines = [AuditLine.model_validate(row, from_attributes=True) for row in rows[:limit]]
    more = len(rows) > limit
    body = ListBody[AuditLine](
        data=lines, has_more=more, next_cursor=encode("audit", str(lines[-1].id)) if more else None
    )
    return send(body, headers=NO_STORE)
