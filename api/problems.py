"""Every refusal as one RFC 9457 body, and the one table from error class to status."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.schemas import FieldError, MirroredError, ProblemBody
from jobs import errors as ledger
from jobs import input_errors as brought
from jobs import sweep_errors as sweep
from jobs import webhook_errors as webhook
from jobs.database import UNREACHABLE
from kdcore.errors import KdcoreError
from kdcore.teacher_cache.shelf import CacheBusyError

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:stillhouse:problem:"


class Problem(Exception):  # noqa: N818 - "problem" is RFC 9457's word for what a client is told
    """A request that the door itself refuses; carries all that the answer says."""

    def __init__(  # noqa: PLR0913 - one argument for each member of the body
        self,
        status: int,
        code: str,
        detail: str,
        *,
        hint: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep the answer; `errors` point at the fields that are wrong."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.errors = list(errors)
        self.headers = dict(headers or {})


class PayloadProblem(Problem):
    """A body, query parameter or header whose content cannot be accepted: 422 with pointers."""

    def __init__(self, errors: Sequence[FieldError], *, code: str = "invalid_request") -> None:
        """Say the first error in full and the number of the others."""
        first = errors[0]
        where = f"{first.pointer}: " if first.pointer else ""
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(422, code, f"{where}{first.message}{more}", hint=first.hint, errors=errors)


# The one table: which error of the ledger or the engine is which status.
STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (ledger.JobDeleted, 410),
    (brought.InputDeleted, 410),
    (brought.InputNotFound, 404),
    (brought.InspectionNotFound, 404),
    (brought.InspectionsFull, 429),
    (brought.UploadNotFound, 404),
    (brought.InputInUse, 409),
    (brought.JobInUse, 409),
    (brought.JobFileMissing, 422),
    (brought.UploadIncomplete, 409),
    (brought.TooLarge, 413),
    (brought.FormatRefused, 415),
    (brought.ContentRefused, 422),
    (sweep.SweepNotFound, 404),
    (sweep.SweepEnded, 409),
    (sweep.BudgetSpent, 409),
    (webhook.WebhookNotFound, 404),
    (webhook.DeliveryNotFound, 404),
    (webhook.WebhookDisabled, 409),
    (webhook.WebhooksFull, 409),
    (ledger.JobNotFound, 404),
    (ledger.JobsNotFound, 404),
    (ledger.ProjectNotFound, 404),
    (ledger.KeyNotFound, 404),
    (ledger.WorkerNotFound, 404),
    (ledger.ArtifactsPurged, 410),
    (ledger.ArtifactNotFound, 404),
    (ledger.ProjectExists, 409),
    (ledger.ProjectFull, 429),
    (ledger.IllegalTransition, 409),
    (ledger.IdempotencyKeyTaken, 409),
    (ledger.ArtifactRefused, 422),
    (ledger.StoreFull, 503),
    (ledger.StoreUnavailable, 503),
    (ledger.SchemaOutOfDate, 503),
    (ledger.MlflowMissing, 503),
    (CacheBusyError, 409),
    (KdcoreError, 422),
)

SEND_NO_MORE: Final = {"X-Should-Retry": "false"}
"""The openai clients send a 409 again unless told not to."""
_PASSING: Final = (ledger.IdempotencyKeyTaken, CacheBusyError)
"""What is in the way for a moment only."""

_CODES: Final = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
}
_DETAILS: Final = {
    404: "nothing is here; GET /openapi.json lists every path",
    405: "this path does not answer to this method; the Allow header names those it answers to",
}


def problem_of(error: Exception) -> Problem:
    """Return the problem that an exception stands for; the unknown is a 500 without any detail."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return PayloadProblem([_field_error(entry) for entry in error.errors()])
    if isinstance(error, HTTPException):
        detail = _DETAILS.get(error.status_code) or str(error.detail)
        code = _CODES.get(error.status_code, "http_error")
        return Problem(error.status_code, code, detail, headers=error.headers)
    if isinstance(error, UNREACHABLE):
        # The driver's words hold SQL and addresses; they stay in the log.
        return Problem(
            503,
            "database_unavailable",
            "the database does not answer, or is busy; nothing was changed",
            hint="send the same request again in a few seconds",
            headers={"Retry-After": "2"},
        )
    for kind, status in STATUSES:
        if isinstance(error, kind):
            return _domain_problem(error, status)
    return Problem(500, "internal_error", "the server failed; its log has the request id below")


def _domain_problem(error: Exception, status: int) -> Problem:
    code: str = getattr(error, "code", "internal_error")
    hint: str | None = getattr(error, "hint", None)
    message = str(error)
    match error:
        case _ if status == HTTPStatus.CONFLICT and not isinstance(error, _PASSING):
            return Problem(status, code, message, hint=hint, headers=SEND_NO_MORE)
        case ledger.ArtifactNotFound() if error.gone:
            return Problem(
                410,
                "artifact_gone",
                message,
                hint="bring it again: post the job's spec once more, or upload the file",
            )
        case ledger.JobsNotFound():
            errors = [
                FieldError(pointer="", parameter="jobs", code=one.code, message=str(one))
                for one in error.missing
            ]
            return Problem(status, code, message, hint=hint, errors=errors)
        case KdcoreError():
            errors = [FieldError(pointer="", code=code, message=message, hint=hint)]
            return Problem(status, code, message, hint=hint, errors=errors)
        case _ if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
            return Problem(status, code, message, hint=hint, headers={"Retry-After": "5"})
        case _:
            return Problem(status, code, message, hint=hint)


def _field_error(entry: Mapping[str, Any]) -> FieldError:
    where, *path = entry["loc"]
    pointer = "/" + "/".join(str(part) for part in path) if where == "body" else ""
    name = "" if where == "body" else f"{where} parameter {'.'.join(str(part) for part in path)}: "
    found = json.dumps(entry.get("input"), default=str)[:80]
    return FieldError(
        pointer=pointer,
        parameter=None if where == "body" else str(path[0]) if path else None,
        code=str(entry["type"]),
        message=f"{name}{entry['msg']}; found {found}",
    )


def body_of(problem: Problem, *, instance: str, request_id: str) -> ProblemBody:
    """Return the body that a problem is sent as."""
    server_side = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    param = next((e.pointer or e.parameter for e in problem.errors), None)
    return ProblemBody(
        type=TYPE_PREFIX + problem.code,
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        instance=instance,
        code=problem.code,
        hint=problem.hint,
        errors=problem.errors,
        request_id=request_id,
        error=MirroredError(
            message=problem.detail,
            type="server_error" if server_side else "invalid_request_error",
            param=param,
            code=problem.code,
            hint=problem.hint,
        ),
    )


def answer(problem: Problem, *, instance: str, request_id: str) -> Response:
    """Return the response that tells a problem to a program."""
    return Response(
        body_of(problem, instance=instance, request_id=request_id).model_dump_json(),
        problem.status,
        headers={**problem.headers, "Cache-Control": "no-store"},
        media_type=MEDIA_TYPE,
    )


def request_id_of(request: Request) -> str:
    """Return the id that this request bears in the log and in every answer to it."""
    return str(request.scope.get("state", {}).get("request_id", ""))


HANDLED: Final[tuple[type[Exception], ...]] = (
    Problem,
    RequestValidationError,
    HTTPException,
    *UNREACHABLE,
    *(kind for kind, _ in STATUSES),
)
"""What is answered inside the app; anything else reaches the outermost guard."""
