"""Checks of what a client sent, each with words about what was found and what was expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, ValidationError

from api.bodies import MAX_ERRORS
from api.problems import PayloadProblem
from api.schemas import FieldError
from jobs.limits import beyond
from jobs.settings import Settings
from jobs.spec import JobSpec
from kdcore.validation import FieldProblem, explain

_LABEL: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._/-]{0,62})(?:=(.{0,256}))?", re.DOTALL)
DEEP: Final = "deepObject"
"""OpenAPI's word for a query parameter with parts, `name[part]=value`."""
Model = TypeVar("Model", bound=BaseModel)


class Sent(BaseModel):
    """A small body that is sent: nothing is guessed, nothing is ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


def fault(code: str, message: str, *, parameter: str, hint: str | None = None) -> PayloadProblem:
    """Return the problem that one parameter or header is wrong."""
    error = FieldError(pointer="", parameter=parameter, code=code, message=message, hint=hint)
    return PayloadProblem([error], code=code)


def checked(model: type[Model], document: object, context: object = None) -> Model:
    """Return the document as a record; `context` is for the record's own validators.

    Raises:
        PayloadProblem: it is none; every error points at its place.
    """
    try:
        return model.model_validate(document, context=context)
    except ValidationError as error:
        raise PayloadProblem(
            [_field_error(problem) for problem in explain(error, model, document)[:MAX_ERRORS]]
        ) from None


def affordable(spec: JobSpec, settings: Settings) -> None:
    """Check that a job is not larger than the operator allows.

    Raises:
        PayloadProblem: it is; every error points at its place.
    """
    if problems := list(beyond(spec, settings)):
        raise PayloadProblem([_field_error(problem) for problem in problems], code="too_large")


def _field_error(problem: FieldProblem) -> FieldError:
    return FieldError(
        pointer=problem.pointer, code=problem.code, message=problem.message, hint=problem.hint
    )


def labels_of(filters: Sequence[str]) -> dict[str, str | None]:
    """Return the labels that a list is filtered by, from `key=value` or `key`.

    Raises:
        PayloadProblem: a key is not one that a label can have.
    """
    wanted: dict[str, str | None] = {}
    for text in filters:
        found = _LABEL.fullmatch(text)
        if found is None:
            raise fault(
                "invalid_label",
                f"query parameter label: found {text[:80]!r}; expected key=value or key,"
                " the key of letters, digits and ._/-",
                parameter="label",
            )
        wanted[found[1]] = found[2]
    return wanted


async def known_parameters(request: Request) -> None:
    """Refuse query parameters that the route does not know, and text that no database takes.

    A typo must not pass in silence: `?dry-run=true` would store the job that it was meant to check.

    Raises:
        PayloadProblem: a parameter is unknown, or has a NUL character.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or not request.query_params:
        return
    known = [field.alias for field in route.dependant.query_params]
    deep = _deep(route)
    for name, value in request.query_params.multi_items():
        shown = name[:80].replace("\0", "\ufffd")
        if name not in known and name.partition("[")[0] not in deep:
            near = difflib.get_close_matches(shown, known, n=1, cutoff=0.5)
            raise fault(
                "unknown_parameter",
                f"found the query parameter {shown!r}; expected {', '.join(known) or 'none'}",
                parameter=shown,
                hint=f"did you mean {near[0]!r}?" if near else None,
            )
        if "\0" in value:
            raise fault(
                "nul_character",
                f"query parameter {shown}: found a NUL character; expected text without it",
                parameter=shown,
            )


def _deep(route: APIRoute) -> set[str]:
    """Return the names of a route's parameters that have parts."""
    parameters: list[dict[str, Any]] = (route.openapi_extra or {}).get("parameters", [])
    return {one["name"] for one in parameters if one.get("style") == DEEP}


def body_schema(model: type[BaseModel], *, required: bool = False) -> dict[str, Any]:
    """Return OpenAPI's description of a JSON body, which may be left out unless it is required."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"content": content, "required": required}
